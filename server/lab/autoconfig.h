/* autoconfig.h - what mail programs are to be set to, as the files that they read and as a page for people. Pure:
 * settings in, octets out; every text is escaped for where it stands. */
#ifndef SERVER_LAB_AUTOCONFIG_H
#define SERVER_LAB_AUTOCONFIG_H

#include "store/wire.h"

/* How a server is spoken to; never without TLS. */
enum autoconfig_security { AUTOCONFIG_ABSENT = 0, AUTOCONFIG_TLS, AUTOCONFIG_STARTTLS };

struct autoconfig_server {
    struct span host;
    uint16_t port;
    uint8_t security; /* enum autoconfig_security; AUTOCONFIG_ABSENT: not offered */
};

/* How a program shows the sending server who it is: the answers of Outlook's "Outgoing Server". */
enum autoconfig_login {
    AUTOCONFIG_LOGIN_NONE = 0,
    AUTOCONFIG_LOGIN_SAME,     /* use same settings as my incoming mail server */
    AUTOCONFIG_LOGIN_SEPARATE, /* log on using another name */
    AUTOCONFIG_LOGIN_POP_FIRST /* log on to incoming mail server before sending mail */
};

enum { AUTOCONFIG_BYTES_MAX = 64 << 10, AUTOCONFIG_TEXT_MAX = 320, AUTOCONFIG_REQUEST_MAX = 16 << 10 };

/* Of each pair the first is the better one. */
struct autoconfig {
    struct span name;       /* of the organization, for people */
    struct span domain;     /* of the addresses, A-labels */
    struct span user;       /* full address; empty: whoever reads it */
    struct span login_name; /* for AUTOCONFIG_LOGIN_SEPARATE */
    struct autoconfig_server imap[2], pop3[2], smtp[2];
    uint8_t login;        /* enum autoconfig_login */
    uint8_t spa;          /* the user is enrolled for SPA (NTLM), and it is offered for sending */
    uint8_t spa_incoming; /* and for fetching */
};

/* The better one of a pair that is offered, or NULL. */
const struct autoconfig_server *autoconfig_best(const struct autoconfig_server pair[2]);

/* For the setup of the process that serves them; get: 0, or -1 when malformed. */
void autoconfig_put(struct buf *b, const struct autoconfig *settings);
int autoconfig_get(struct wire *w, struct autoconfig *settings_out) MUST_USE;

/* Whether there is a server to fetch mail from, and one to send by: without them a program has nothing to set. */
bool autoconfig_whole(const struct autoconfig *settings);

/* config-v1.1.xml of Thunderbird (draft-ietf-mailmaint-autoconfig). Without a user it holds %EMAILADDRESS%, which the
 * program replaces. */
void autoconfig_thunderbird(const struct autoconfig *settings, struct buf *out);

/* A response of Autodiscover, the form in plain XML (POX), of Outlook. Without a user it names no login. */
void autoconfig_autodiscover(const struct autoconfig *settings, struct buf *out);
/* The response to a request that cannot be answered: error 600. */
void autoconfig_autodiscover_error(struct buf *out);

/* A configuration profile of Apple's. Without a user the device asks. Its identifiers depend on user and servers
 * alone, so that a second one takes the place of the first. */
void autoconfig_mobileconfig(const struct autoconfig *settings, struct buf *out);

/* Lines of the domain's zone: RFC 6186, RFC 8314 5.1; "." for what is not offered. */
void autoconfig_srv(const struct autoconfig *settings, struct buf *out);

/* A page in HTML to print or to look at, with Outlook's dialogs drawn and the boxes to tick; one file, no script. */
void autoconfig_page(const struct autoconfig *settings, struct buf *out);

/* The address in a request of Autodiscover, the first EMailAddress of its XML, as it is written there (at most 320
 * octets, with its references resolved). False when there is none, or it is no address. */
bool autoconfig_request_address(struct span body, struct buf *address_out) MUST_USE;

/* The value of `emailaddress` in the query of a URL ("emailaddress=a%40b"), likewise. */
bool autoconfig_query_address(struct span query, struct buf *address_out) MUST_USE;

#endif
