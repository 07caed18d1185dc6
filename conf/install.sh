#!/bin/sh
# install.sh - where gatepost's files go, and the users and directories of its processes.
#   install DESTDIR PREFIX     programs, manual pages, sample configuration, systemd units; as root without DESTDIR
#                              also the users
#   uninstall DESTDIR PREFIX   takes the programs, pages and units away; configuration, users, queue and mail stay
#   users                      makes the missing role users
# Run from the top of the tree, after `make`.
set -eu
umask 022

programs='session pop3 auth verifier keys queue delivery outbound resolver policy log'
# One for each part, by the names that are the defaults: a user shared by two parts takes away the wall between them.
users=$(sed -n '/^users = {/,/^};/s/^ *#\{0,1\}[a-z0-9]* = "\(.*\)";.*/\1/p' conf/gatepost.conf)

make_users() {
    for user in ${users:?are not in conf/gatepost.conf}; do
        getent passwd "$user" >/dev/null && continue
        PATH=$PATH:/usr/sbin:/sbin useradd --system --user-group --no-create-home --home-dir /nonexistent \
            --shell /usr/sbin/nologin "$user"
        echo "made the user $user" >&2
    done
}

# What programs call to send mail: gatepost by another name, where no other mailer has it. /usr/sbin/sendmail and
# /usr/lib/sendmail are what they look for, wherever gatepost itself is.
names() {
    echo "$top/sbin/sendmail $top/bin/mailq $top/bin/newaliases"
    [ "$prefix" = /usr ] || echo "$destdir/usr/sbin/sendmail"
    echo "$destdir/usr/lib/sendmail"
}

is_ours() { case $(readlink "$1" || true) in "$prefix/sbin/gatepost") return 0 ;; *) return 1 ;; esac; }

install_names() {
    for name in $(names); do
        if [ -e "$name" ] && ! is_ours "$name"; then
            echo "$name is another mailer's, and stays; with that mailer removed, make install again" >&2
            continue
        fi
        mkdir -p "${name%/*}"
        ln -sf "$prefix/sbin/gatepost" "$name"
    done
}

remove_names() {
    for name in $(names); do
        if is_ours "$name"; then rm -f "$name"; fi
    done
}

# The unit has the program's place in it.
install_unit() {
    sed "s|/usr/local/sbin/|$prefix/sbin/|g" "$1" >"$units/${1##*/}"
    chmod 644 "$units/${1##*/}"
}

# So has a sample.
install_sample() {
    sed "s|/usr/local/sbin/|$prefix/sbin/|g" "$1" >"$top/share/doc/gatepost/$2"
    chmod "$3" "$top/share/doc/gatepost/$2"
}

install_files() {
    for program in $programs pop3-login; do
        [ -x "build/gatepost-$program" ] || { echo "build/gatepost-$program is not there: run make first" >&2; exit 1; }
    done
    mkdir -p "$top/sbin" "$top/libexec/gatepost" "$top/share/man/man5" "$top/share/man/man8" "$units" "$etc/tls"
    install -m 755 gatepost "$top/sbin/gatepost"
    for program in $programs; do install -m 755 "build/gatepost-$program" "$top/libexec/gatepost/"; done
    install -m 755 build/gatepost-pop3-login "$top/sbin/"
    install_names
    install -m 644 conf/gatepost.8 conf/gatepost-sendmail.8 conf/gatepost-pop3-login.8 \
        conf/gatepost-autoconfig.8 "$top/share/man/man8/"
    install -m 644 conf/gatepost.conf.5 "$top/share/man/man5/"
    install -m 644 conf/gatepost.conf "$etc/gatepost.conf.sample"
    [ -e "$etc/gatepost.conf" ] || install -m 644 conf/gatepost.conf "$etc/gatepost.conf"
    for directory in filter.d jail.d; do
        mkdir -p "$top/share/doc/gatepost/fail2ban/$directory"
        install -m 644 "conf/fail2ban/$directory/gatepost.conf" "$top/share/doc/gatepost/fail2ban/$directory/"
    done
    mkdir -p "$top/share/doc/gatepost/dovecot"
    for sample in conf/dovecot-*.conf; do install_sample "$sample" "dovecot/${sample##*/}" 644; done
    install_sample conf/checkpassword-run checkpassword-run 755
    install -m 644 conf/outlook.md "$top/share/doc/gatepost/"
    chmod 700 "$etc/tls"
    for unit in conf/*.service conf/*.socket; do
        [ -e "$unit" ] && install_unit "$unit"
    done
    [ -n "$destdir" ] || [ "$(id -u)" != 0 ] || make_users
    [ -n "$destdir" ] || cat <<END
gatepost is in $prefix/sbin. What is left to do:
  edit $etc/gatepost.conf, put certificate and key into $etc/tls, then: gatepost check
  gatepost user add you@your.domain
  systemctl daemon-reload && systemctl enable --now gatepost
END
}

uninstall_files() {
    remove_names
    rm -f "$top/sbin/gatepost" "$top/share/man/man8/gatepost.8" "$top/share/man/man8/gatepost-sendmail.8" \
        "$top/sbin/gatepost-pop3-login" "$top/share/man/man8/gatepost-pop3-login.8" \
        "$top/share/man/man8/gatepost-autoconfig.8" \
        "$top/share/man/man5/gatepost.conf.5" \
        "$etc/gatepost.conf.sample"
    for program in $programs; do rm -f "$top/libexec/gatepost/gatepost-$program"; done
    for unit in conf/*.service conf/*.socket; do rm -f "$units/${unit##*/}"; done
    rm -rf "$top/share/doc/gatepost/fail2ban" "$top/share/doc/gatepost/dovecot"
    rm -f "$top/share/doc/gatepost/checkpassword-run" "$top/share/doc/gatepost/outlook.md"
    rmdir "$top/share/doc/gatepost" 2>/dev/null || true
    rmdir "$top/libexec/gatepost" 2>/dev/null || true
    [ -n "$destdir" ] || echo "$etc, the users, and the state directory stay: they are yours." >&2
}

action=${1:-}
destdir=${2:-}
prefix=${3:-/usr/local}
top=$destdir$prefix
etc=$destdir/etc/gatepost
units=$destdir/etc/systemd/system
[ -z "$destdir" ] || units=$destdir/usr/lib/systemd/system
case $action in
install | uninstall)
    if [ -z "$destdir" ] && [ "$(id -u)" != 0 ]; then
        echo "$action writes to $prefix, /etc and makes users: run it as root, or with DESTDIR" >&2
        exit 1
    fi
    "${action}_files"
    ;;
users) make_users ;;
*) sed -n '2,6s/^# //p' "$0" >&2; exit 2 ;;
esac
