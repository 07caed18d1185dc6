#!/bin/sh
# run.sh - `make run`: a server to play with, on loopback, in the foreground, ended by Ctrl-C. What it makes once it
# finds again at the next start: certificate, configuration, users, queue and mail. Mail for elsewhere never leaves:
# it is captured.
set -eu
umask 077
cd "$(dirname "$0")/.."
tree=$(pwd -P)
gatepost=$tree/gatepost

# As root each part runs as a user of its own, and these must reach the state directory: the tree may be a closed one.
if [ "$(id -u)" = 0 ]; then
    sh conf/install.sh users
    state=/var/lib/gatepost-run
else
    state=$tree/build/run
fi
conf=$state/gatepost.conf
secrets=$state/passwords
cert=$state/cert.pem
key=$state/key.pem
# An address of a unix socket has 107 octets at most.
case $state in
*[!A-Za-z0-9/._+-]*) echo "run.sh: the path $state holds characters that the lines to paste cannot: move the tree" >&2; exit 1 ;;
esac
if [ ${#state} -gt 85 ]; then
    echo "run.sh: the path $state is too long for a socket in it: move the tree" >&2
    exit 1
fi
mkdir -p "$state"
chmod 755 "$state"

if [ ! -s "$cert" ] || [ ! -s "$key" ]; then
    if ! openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj /CN=mail.example.test \
        -addext subjectAltName=DNS:localhost,DNS:mail.example.test,IP:127.0.0.1,IP:::1 \
        -keyout "$key.new" -out "$cert.new" 2>"$state/openssl.log"; then
        cat "$state/openssl.log" >&2
        exit 1
    fi
    rm -f "$state/openssl.log"
    mv "$key.new" "$key"
    mv "$cert.new" "$cert"
fi
chmod 644 "$cert"

# Only where the host has IPv6 on loopback.
also_ipv6() { [ -e /proc/net/if_inet6 ] && grep -q '^0\{31\}1 ' /proc/net/if_inet6 && echo ", \"[::1]:$1\""; true; }

if [ ! -s "$conf" ]; then
    cat >"$conf.new" <<END
# Written once by \`make run\`; change what you like. Every key is explained in conf/gatepost.conf.
hostname = "mail.example.test";
local_domains = [ "example.test" ];
postmaster = "alice@example.test";
state_directory = "$state";
run_directory = "$state/run";
listen = (
    { role = "mx"; address = [ "127.0.0.1:2525"$(also_ipv6 2525) ]; },
    { role = "submission"; address = [ "127.0.0.1:2587"$(also_ipv6 2587) ]; },
    { role = "submissions"; address = [ "127.0.0.1:2465"$(also_ipv6 2465) ]; },
    { role = "pop3"; address = [ "127.0.0.1:2110"$(also_ipv6 2110) ]; },
    { role = "pop3s"; address = [ "127.0.0.1:2995"$(also_ipv6 2995) ]; }
);
tls = { certificates = ( { certificate_file = "$cert"; key_file = "$key"; } ); };
delivery = { foreign = "capture"; };
# Who has just checked the mail may send without login. Loopback is listed because all clients are here, and both users
# at one address: in service neither says who it is.
grant = { enabled = true; networks = [ "127.0.0.1", "::1" ]; users_per_address = 2; };
# All clients are on this host, and may be load generators: many connections from one address, many messages in each.
# In service the defaults, 50, 100 and 1000, are meant.
limits = { connections_per_address = 400; connections_per_network = 400; messages_per_session = 100000; };
END
    mv "$conf.new" "$conf"
fi

# A password is drawn once and kept for the owner alone, so that a second start can print it again.
touch "$secrets"
chmod 600 "$secrets"
password_of() { sed -n "s/^$1 //p" "$secrets"; }
make_user() {
    [ -z "$(password_of "$1")" ] || return 0
    status=0
    password=$("$gatepost" -c "$conf" user add "$1" --generate) || status=$?
    # 4: there is such a user, whose password was not kept when an earlier start was interrupted.
    [ $status != 4 ] || { status=0; password=$("$gatepost" -c "$conf" user passwd "$1" --generate) || status=$?; }
    [ $status = 0 ] || exit $status
    echo "$1 $password" >>"$secrets"
}
make_user alice@example.test
make_user bob@example.test
alice=$(password_of alice@example.test)
"$gatepost" -c "$conf" check --quiet

cat >"$state/announcement" <<END

gatepost is ready: mx on port 2525, submission (STARTTLS) on 2587, submissions (TLS) on 2465, pop3 (STLS) on 2110, pop3s
(TLS) on 2995, all on loopback.

  users      alice@example.test   $alice
             bob@example.test     $(password_of bob@example.test)
  mail       $state/mail/example.test/alice/   Maildir of alice; bob's is beside it
             $state/capture/   Maildir that gets all mail for elsewhere
  settings   $conf

Lines to paste into another terminal:

  a user to elsewhere (captured; for a file of your own add --crlf):
printf 'From: alice@example.test\r\nTo: someone@elsewhere.example\r\nSubject: from curl\r\n\r\nHello.\r\n' | curl --silent --show-error --ssl-reqd --cacert $cert --url smtp://localhost:2587/laptop.example.test --user 'alice@example.test:$alice' --mail-from alice@example.test --mail-rcpt someone@elsewhere.example -T - && echo accepted

  the same with TLS from the first octet:
swaks --helo laptop.example.test --server 127.0.0.1:2465 --tls-on-connect --tls-verify --tls-ca-path $cert --auth PLAIN --auth-user alice@example.test --auth-password '$alice' --from alice@example.test --to someone@elsewhere.example

  a stranger to alice (accepted), and to elsewhere (550, relay-denied):
swaks --helo mail.elsewhere.example --server 127.0.0.1:2525 --tls --from stranger@elsewhere.example --to alice@example.test
swaks --helo mail.elsewhere.example --server 127.0.0.1:2525 --tls --from stranger@elsewhere.example --to someone@elsewhere.example

  alice's mail: how many, and the first:
curl --silent --show-error --ipv4 --ssl-reqd --cacert $cert --url pop3://localhost:2110/ --user 'alice@example.test:$alice'
curl --silent --show-error --ipv4 --cacert $cert --url pop3s://localhost:2995/1 --user 'alice@example.test:$alice'

  POP before SMTP: alice, who has just checked her mail from 127.0.0.1 (grants are for loopback too here, because
  grant.networks lists it), sends from there without a login:
curl --silent --show-error --ipv4 --cacert $cert --url pop3s://localhost:2995/ --user 'alice@example.test:$alice' && swaks --helo laptop.example.test --server 127.0.0.1:2525 --from alice@example.test --to someone@elsewhere.example
$gatepost -c $conf grant list

  why:
$gatepost -c $conf explain --ip 192.0.2.1 --role mx --from stranger@elsewhere.example --to someone@elsewhere.example

Ctrl-C ends the server; the next start finds its mail and users again.

END
exec "$gatepost" -c "$conf" serve --announce "$state/announcement"
