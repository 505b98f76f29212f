# SPDX-License-Identifier: Apache-2.0
# Carries out in a tree what t/newcomer/readme has made of README: a script made of
# it sources this file first.  What cannot be as printed is this:
#
#   make run      goes on in the background, and the next command waits until it says
#                 that it is ready
#   make check    is left out: it is "make platform"
#   mscim_...     is the Secret Token that was printed last
#
# and scim.example.com is this machine, whose certificate it has signed itself.
set -eu
cd /root/mod_scim

answer=/root/answer
SECRET=
start=$(date +%s%3N)

# What a command said is shown where it failed.
trap 'code=$?; [ "$code" = 0 ] || { echo "failed ($code):" >&2; tail -n 40 "$answer" /root/run.log >&2 2>/dev/null; }' EXIT

seconds() {
    local now
    now=$(date +%s%3N)
    echo "$(((now - start) / 1000)).$(((now - start) / 100 % 10)) s"
}

run_in_background() {
    echo '$ make run'
    make run >/root/run.log 2>&1 &
    for ((i = 0; i < 6000; i++)); do
        ! grep -q '^Secret Token: ' /root/run.log || return 0
        kill -0 $! 2>/dev/null || break
        sleep 0.1
    done
    return 1
}

run() {
    local text=${1//mscim_.../$SECRET}
    [ -n "$text" ] || return 0
    printf '%s' "$1" | sed 's/^/$ /'
    # An error in the middle of it is one.
    eval "$text" >"$answer" 2>&1 </dev/null
    ! grep -q '^Secret Token: ' "$answer" || SECRET=$(sed -n 's/^Secret Token: *//p' "$answer")
    if grep -q '"userName":"bjensen@example.com"' "$answer" && [ -z "${provisioned-}" ]; then
        provisioned=yes
        cut -c1-160 "$answer" | tail -n 1
        echo "=== ${what:-The first user was provisioned} after $(seconds)"
    fi
}

commands() {
    local line text=
    while IFS= read -r line; do
        case $line in
        'make run') run "$text" && text= && run_in_background ;;
        'make check') ;;
        *) text+=$line$'\n' ;;
        esac
    done
    run "$text"
}

file() {
    echo "> $1"
    cat >"$1"
}

# The newcomer of a server in earnest has one from a public authority.
make_certificate() {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=scim.example.com \
        -addext subjectAltName=DNS:scim.example.com -keyout /etc/ssl/private/scim.example.com.key \
        -out /etc/ssl/scim.example.com.pem 2>/dev/null
    cp /etc/ssl/scim.example.com.pem /usr/local/share/ca-certificates/scim.example.com.crt
    update-ca-certificates >/dev/null 2>&1
}

is() {
    [ "$2" = "$3" ] || { echo "not ok: $1: \"$2\", not \"$3\"" >&2; exit 1; }
    echo "ok: $1"
}

url=https://scim.example.com/scim/v2

# "scim STATUS CURL'S ARGUMENTS": a request with the token.
scim() {
    local wanted=$1 status
    shift
    status=$(curl -sS -o "$answer" -D /root/headers -w '%{http_code}' -H "Authorization: Bearer $TOKEN" \
        -H 'Content-Type: application/scim+json' "$@")
    is "${*: -1}: $wanted" "$status" "$wanted"
}

pid_of_httpd() {
    systemctl show -p MainPID --value apache2
}

# httpd runs as Debian's unit has it, and nothing of mod_scim is amiss in its log.
check_server() {
    is 'the unit is active' "$(systemctl is-active apache2)" active
    is 'the unit is that of Debian, without a drop-in' "$(systemctl show -p DropInPaths --value apache2)" ''
    is 'and has a /tmp of its own' "$(systemctl show -p PrivateTmp --value apache2)" yes
    is 'the store belongs to the workers' "$(stat -c '%U %a' /var/lib/apache2/scim)" 'www-data 700'
    is 'so do its files' "$(stat -c '%U %a' /var/lib/apache2/scim/data.mdb)" 'www-data 600'
    is 'no error of mod_scim' "$(grep -E 'SCIM[0-9]{4}' /var/log/apache2/error.log | grep -Ev ':(info|notice|debug)\]')" ''
    is 'nothing is damaged' "$(scimctl verify >/dev/null 2>&1; echo $?)" 0
}
