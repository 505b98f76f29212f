# SPDX-License-Identifier: Apache-2.0
# The life of the packages in a tree, for a script with steps.sh in it.

deb=$(echo build/deb/libapache2-mod-scim_*.deb)
id=$(grep -o '"id":"[^"]*"' /root/user | cut -d'"' -f4)

# An older version: the same with another number, and another scim.conf.
older() {
    dpkg-deb -R "$deb" /root/older
    sed -i 's/^Version: .*/Version: 0.1/' /root/older/DEBIAN/control
    sed -i '1s/.*/# An older one./' /root/older/etc/apache2/mods-available/scim.conf
    dpkg-deb -b /root/older /root/older.deb >/dev/null
    apt-get -qq install apache2 curl /root/older.deb >/dev/null
    is 'the older version is there' "$(version)" 0.1
}

version() {
    dpkg-query -W -f '${Version}' libapache2-mod-scim
}

# systemd starts nothing more than five times in ten seconds; here nobody reads in between.
forget_starts() {
    systemctl reset-failed apache2 || true
}

restart() {
    forget_starts
    systemctl restart apache2
}

# apt asks nothing: whatever conffile is still as it came is replaced.
newer() {
    forget_starts
    apt-get -qq install --allow-downgrades --reinstall "./$deb" >"$answer" 2>&1
    is 'the newer version is there' "$(version)" "$(dpkg-deb -f "$deb" Version)"
}

has_user() {
    scim 200 "$url/Users/$user"
    is 'with the version it had' "$(grep -o 'W/[^,}]*' "$answer" | head -n 1)" "$etag"
}

enabled() {
    local code=0
    a2query -q -m scim || code=$?
    echo "$code"
}

upgraded_and_gone() {
    local pid
    scim 200 -G --data-urlencode 'filter=userName eq "bjensen@example.com"' "$url/Users"
    user=$(grep -o '"id":"[^"]*"' "$answer" | cut -d'"' -f4)
    etag=$(grep -o 'W/[^,}]*' "$answer" | head -n 1)
    pid=$(pid_of_httpd)

    echo '--- upgrade'
    newer
    is 'httpd was restarted' "$([ "$(pid_of_httpd)" != "$pid" ] && echo yes)" yes
    is 'the module is enabled' "$(enabled)" 0
    is 'scim.conf is the new one' "$(cmp /etc/apache2/mods-available/scim.conf conf/scim.conf && echo yes)" yes
    has_user
    check_server

    echo '--- a2dismod stays so'
    a2dissite -q scim
    a2dismod -q scim
    newer
    is 'the module is as the administrator left it' "$(enabled)" 32
    a2enmod -q scim
    a2ensite -q scim
    restart
    has_user

    echo '--- remove'
    a2dissite -q scim
    forget_starts
    apt-get -qq remove libapache2-mod-scim >"$answer" 2>&1
    is 'httpd runs' "$(systemctl is-active apache2)" active
    is 'the module is not in it' "$(apachectl -M 2>/dev/null | grep scim)" ''
    is 'the store is there' "$(stat -c '%U %a' /var/lib/apache2/scim/data.mdb)" 'www-data 600'
    newer
    is 'installed again, it is enabled again' "$(enabled)" 0
    a2ensite -q scim
    restart
    has_user

    echo '--- purge, where nobody answers'
    a2dissite -q scim
    forget_starts
    apt-get -qq purge libapache2-mod-scim >"$answer" 2>&1
    is 'it says that users stay' "$(grep -c 'users and groups stay in /var/lib/apache2/scim' "$answer")" 1
    is 'and they do' "$(stat -c '%U %a' /var/lib/apache2/scim/data.mdb)" 'www-data 600'
    is 'its configuration is gone' "$(ls /etc/apache2/mods-available | grep scim)" ''
    newer
    a2ensite -q scim
    restart
    has_user

    echo '--- purge, where it was answered'
    a2dissite -q scim
    echo libapache2-mod-scim libapache2-mod-scim/purge-data boolean true | debconf-set-selections
    forget_starts
    apt-get -qq purge libapache2-mod-scim >"$answer" 2>&1
    is 'the store is gone' "$(ls -d /var/lib/apache2/scim 2>/dev/null)" ''
    is 'debconf has forgotten the question' "$(debconf-show libapache2-mod-scim)" ''
    is 'httpd runs' "$(systemctl is-active apache2)" active

    echo '--- autopkgtest'
    rm /etc/apache2/sites-available/scim.conf
    apt-get -qq install autopkgtest >/dev/null
    # The tree is the container, and is thrown away.
    autopkgtest -q --ignore-restrictions=isolation-container,breaks-testbed build/deb/libapache2-mod-scim_*.deb build/deb/libapache2-mod-scim-dev_*.deb /root/source/ -- null >"$answer" 2>&1
    is 'it passes' "$(grep -c 'provision *PASS' "$answer")" 1
}

restored() {
    TOKEN=$(cat /root/token)
    scim 200 "$url/Users/$id"
    echo "=== The first answer from what was restored came after $(seconds)"
    is 'the user is what it was' "$(tr -d '\r\n' <"$answer")" \
        "$(tr -d '\r\n' </root/user | sed 's/.*"Resources":\[//; s/\]}$//')"
    scim 304 -H "If-None-Match: $(grep -o 'W/[^,}]*' "$answer" | head -n 1 | tr -d '\\')" "$url/Users/$id"
}
