/* base64.h - base64 as SASL uses it (RFC 4648 4, RFC 4954 4): strict, no line ends, no blanks, no stray bits. */
#ifndef STORE_BASE64_H
#define STORE_BASE64_H

#include "store/buf.h"

/* Appends what `text` stands for. False when malformed or when it does not fit; `out` may then hold a part. */
bool base64_decode(struct span text, struct buf *out) MUST_USE;

void base64_encode(struct span octets, struct buf *out);

#endif
