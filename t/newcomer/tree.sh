# SPDX-License-Identifier: Apache-2.0
# Clean Debian systems to try things in, for the scripts of this directory, which
# source this file.
#
# A tree is a directory with a minimal Debian (debootstrap), booted by
# systemd-nspawn: its systemd is process 1, so units are run as Debian has them.
# It has a network of its own, out of which slirp4netns leads to the mirror;
# nothing outside reaches what listens in it.  The minimal system is made once a
# week for each release, and kept as build/newcomer/base-SUITE.tar.
#
#   O        where make builds (absolute)
#   MIRROR, SECURITY   Debian's mirrors; else those of this machine's apt
#
# tree_end ends what was booted, and removes it.  The script calls it in its
# trap, so that neither processes nor mounts are left.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
: "${O:=$root/build}"
work=$O/newcomer
tree= tree_pid= tree_init= tree_net=

die() {
    echo "${0##*/}: $*" >&2
    exit 1
}

say() {
    echo "--- $*"
}

# The first URI that this machine's apt has for LABEL.
mirror_of() {
    apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 2>/dev/null |
        awk -F'|' -v label="$1" '$1 == "Debian" && $2 == label && !found { print $3; found = 1 }'
}

find_mirrors() {
    : "${MIRROR:=$(mirror_of Debian)}" "${SECURITY:=$(mirror_of Debian-Security)}"
    : "${MIRROR:=http://deb.debian.org/debian}" "${SECURITY:=http://deb.debian.org/debian-security}"
}

# apt in a tree: whoever reads README says yes where apt asks.
write_apt() {
    local suite=$1
    cat >"$tree/etc/apt/sources.list" <<END
deb $MIRROR $suite main
deb $MIRROR $suite-updates main
deb $SECURITY $suite-security main
END
    {
        echo 'APT::Get::Assume-Yes "true";'
        echo 'Acquire::Languages "none";'
        apt-config dump | grep -E '^Acquire::(http|https|Check-[A-Za-z-]+)(::[^ ]+)? "[^"]' || true
    } >"$tree/etc/apt/apt.conf.d/90newcomer"
}

make_base() {
    local suite=$1
    find_mirrors
    if [ -n "$(find "$work/base-$suite.tar" -mtime -7 2>/dev/null)" ]; then
        return
    fi
    say "making a minimal Debian ($suite)"
    tree=$work/base-$suite
    remove_tree
    mkdir -p "$tree"
    debootstrap --variant=minbase --include=systemd,systemd-sysv,dbus,ca-certificates,iproute2,procps,debconf \
        "$suite" "$tree" "$MIRROR" >"$work/debootstrap.log" 2>&1 ||
        die "debootstrap failed: $work/debootstrap.log says why"
    write_apt "$suite"
    rm -rf "$tree"/var/cache/apt/archives/*.deb
    tar -C "$tree" -cf "$work/base-$suite.tar.new" .
    mv "$work/base-$suite.tar.new" "$work/base-$suite.tar"
    remove_tree
}

# Nothing is removed through what is mounted in a tree, and nothing outside $work.
remove_tree() {
    case $tree in
    "$work"/?*) ;;
    *) return ;;
    esac
    if awk -v tree="$tree" 'index($5 "/", tree "/") == 1 { found = 1 } END { exit !found }' /proc/self/mountinfo; then
        echo "${0##*/}: something is still mounted below $tree: it is left as it is" >&2
        return
    fi
    rm -rf --one-file-system "$tree"
}

# The source as it stands in the work tree, without what make built.
copy_source() {
    local to=$tree/root/mod_scim
    mkdir -p "$to"
    if [ -e "$root/.git" ] && git -c safe.directory="$root" -C "$root" rev-parse 2>/dev/null; then
        git -c safe.directory="$root" -C "$root" ls-files -z --cached --others --exclude-standard |
            while IFS= read -r -d '' file; do # what was removed is still tracked
                [ ! -e "$root/$file" ] || printf '%s\0' "$file"
            done |
            tar -C "$root" --null --no-recursion -T - -cf - | tar -C "$to" --no-same-owner -xf -
    else
        tar -C "$root" --exclude=./build -cf - . | tar -C "$to" --no-same-owner -xf -
    fi
}

# "tree_make SUITE NAME": unpacks a tree, with the source in /root/mod_scim.
tree_make() {
    make_base "$1"
    tree=$work/$2
    remove_tree
    mkdir -p "$tree"
    tar -C "$tree" -xf "$work/base-$1.tar"
    echo 'nameserver 10.0.2.3' >"$tree/etc/resolv.conf" # slirp4netns answers
    printf '127.0.0.1 localhost newcomer scim.example.com\n' >"$tree/etc/hosts"
    copy_source
}

# Runs a command in the tree, as root does who has logged in.
within() {
    nsenter --target "$tree_init" --mount --uts --ipc --net --pid --cgroup \
        env -i -C /root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root \
        LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@" 9>&-
}

wait_for() {
    local seconds=$1
    shift
    for ((i = 0; i < seconds * 5; i++)); do
        "$@" && return 0
        kill -0 "$tree_pid" 2>/dev/null || return 1
        sleep 0.2
    done
    return 1
}

has_init() {
    read -r tree_init _ <<<"$(<"/proc/$tree_pid/task/$tree_pid/children")" && [ -n "$tree_init" ] &&
        [ "$(<"/proc/$tree_init/comm")" = systemd ]
} 2>/dev/null

has_booted() {
    case $(within systemctl is-system-running 2>/dev/null) in
    running | degraded) ;;
    *) return 1 ;;
    esac
}

has_net() {
    within ip -brief address show tap0 2>/dev/null | grep -q 10.0.2.100
}

tree_boot() {
    local how=()
    [ -d /run/systemd/system ] || how=(--register=no --keep-unit)
    systemd-nspawn --quiet --directory="$tree" --machine="mod-scim-${tree##*/}" --boot --private-network --hostname=newcomer \
        --resolv-conf=off --link-journal=no --console=read-only "${how[@]}" \
        </dev/null >"$work/boot.log" 2>&1 9>&- &
    tree_pid=$!
    wait_for 60 has_init && wait_for 120 has_booted || die "the tree does not boot: $work/boot.log"
    slirp4netns --configure --disable-host-loopback --mtu=65520 "$tree_init" tap0 >"$work/net.log" 2>&1 &
    tree_net=$!
    wait_for 30 has_net || die "the tree has no network: $work/net.log"
    within apt-get -qq update
}

tree_end() {
    if [ -n "$tree_pid" ]; then
        kill "$tree_pid" 2>/dev/null || true
        for ((i = 0; i < 300; i++)); do
            kill -0 "$tree_pid" 2>/dev/null || break
            sleep 0.2
        done
        kill -KILL "$tree_pid" 2>/dev/null || true
        wait "$tree_pid" 2>/dev/null || true
    fi
    if [ -n "$tree_net" ]; then
        kill "$tree_net" 2>/dev/null || true
        wait "$tree_net" 2>/dev/null || true
    fi
    # nspawn leaves it where /run is on a disk.
    [ -z "$tree_pid" ] || rmdir "/run/systemd/nspawn/propagate/mod-scim-${tree##*/}" 2>/dev/null || true
    tree_pid= tree_init= tree_net=
    remove_tree
    tree=
}

# What every script of this directory begins with.
tree_begin() {
    [ "$(id -u)" -eq 0 ] || die "a tree needs root"
    "$root/t/lib/deps" newcomer
    [ -c /dev/net/tun ] || die "the network of a tree needs /dev/net/tun"
    mkdir -p "$work"
    exec 9>"$work/lock"
    flock -n 9 || die "another one is running in $work"
    trap tree_end EXIT
    trap 'exit 130' INT TERM HUP
}
