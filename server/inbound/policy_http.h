/* policy_http.h - the HTTP/1.1 requests that Dovecot's authentication policy makes (RFC 9112), and no more of HTTP:
 * one POST of a known length. Pure functions over octets. */
#ifndef SERVER_INBOUND_POLICY_HTTP_H
#define SERVER_INBOUND_POLICY_HTTP_H

#include "store/buf.h"

enum { POLICY_REQUEST_MAX = 8192, POLICY_HEAD_MAX = 4096, POLICY_FIELDS_MAX = 32 };

enum http_found {
    HTTP_BAD = 0, /* no request of this kind: 400, and the connection ends */
    HTTP_MORE,    /* not all of it is there */
    HTTP_WHOLE
};

struct http_request {
    struct span method, target;
    struct span secret; /* of the header X-Gatepost-Secret; empty: none */
    struct span body;
    bool closes;     /* the client wants no other answer on this connection */
    size_t n_octets; /* of the request in all */
};

/* The request that `input`, at most POLICY_REQUEST_MAX octets, begins with. Lines end with CRLF, a header is there at
 * most once where it counts; Transfer-Encoding is refused. Views into `input`. */
enum http_found http_read(struct span input, struct http_request *out) MUST_USE;

/* Whether the target's query has this parameter with this value, as they are written. */
bool http_query(struct span target, struct span name, struct span value);

/* Appends an answer with a JSON body. */
void http_put_answer(struct buf *b, unsigned status, const char *json, bool closes);

#endif
