#!/bin/sh
# Makes the database on first start, as the official mysql image does from MYSQL_ROOT_PASSWORD, MYSQL_DATABASE,
# MYSQL_USER and MYSQL_PASSWORD, then becomes the server. A first start that is cut short begins again.
set -eu

data=/var/lib/mysql
run="${TMPDIR:-/tmp}"
socket="$run/mysqld.sock"

quoted() {
    printf "'%s'" "$(printf %s "$1" | sed "s/\\\\/\\\\\\\\/g; s/'/''/g")"
}

# echo would read the backslashes of a password.
line() {
    printf '%s\n' "$1"
}

setup() {
    : "${MYSQL_ROOT_PASSWORD:?MYSQL_ROOT_PASSWORD must be set}"
    root=$(quoted "$MYSQL_ROOT_PASSWORD")
    # The fresh database has anonymous users, and roots of this machine without a password.
    line "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';"
    line "FLUSH PRIVILEGES;"
    for host in localhost %; do
        line "CREATE USER 'root'@'$host' IDENTIFIED BY $root;"
        line "GRANT ALL ON *.* TO 'root'@'$host' WITH GRANT OPTION;"
    done
    if [ -n "${MYSQL_DATABASE:-}" ]; then
        line "CREATE DATABASE IF NOT EXISTS \`$MYSQL_DATABASE\` CHARACTER SET utf8mb4;"
    fi
    if [ -n "${MYSQL_USER:-}" ]; then
        user=$(quoted "$MYSQL_USER")
        line "CREATE USER $user@'%' IDENTIFIED BY $(quoted "${MYSQL_PASSWORD:-}");"
        if [ -n "${MYSQL_DATABASE:-}" ]; then
            line "GRANT ALL ON \`$MYSQL_DATABASE\`.* TO $user@'%';"
        fi
    fi
}

if [ "${1:-}" = mariadbd ]; then
    shift
    if [ ! -e "$data/.trainyard-ready" ]; then
        # A mounted volume may hold lost+found and the rest of a first start that was cut short, never data.
        find "$data" -mindepth 1 -maxdepth 1 ! -name lost+found -exec rm -rf {} +
        mariadb-install-db --no-defaults --datadir="$data" --auth-root-authentication-method=normal \
            --skip-test-db --skip-name-resolve >/dev/null
        setup | mariadbd --no-defaults --datadir="$data" --bootstrap --skip-networking
        touch "$data/.trainyard-ready"
    fi
    exec mariadbd --no-defaults --datadir="$data" --socket="$socket" --pid-file="$run/mysqld.pid" \
        --bind-address=0.0.0.0 --port=3306 --skip-name-resolve --character-set-server=utf8mb4 \
        --performance-schema=OFF --innodb-buffer-pool-size=64M "$@"
fi
exec "$@"
