/* mailbox_text.c - line ends of a message's file, and where TOP ends.
 * Runs in: mailbox agent. Trusts: nobody's line ends. Never: holds more of a message than its buffer. */
#include "server/outbound/mailbox_text.h"

#include "store/disk.h"

enum { LINE_END_BYTES = 2 };

void mailbox_text_begin(struct mailbox_text *text, int fd, bool lf_only, uint32_t lines) {
    text->fd = fd;
    text->lf_only = lf_only;
    text->lines = lines;
    text->in_body = text->done = text->cr = text->any = text->ended = false;
    text->at = text->line_n = 0;
    text->from = text->to = 0;
}

/* A line has ended, whose octets before the line end are counted: an empty one ends the header. */
static void count_line(struct mailbox_text *text, bool empty) {
    if (text->lines == MAILBOX_WHOLE) return;
    if (text->in_body)
        text->lines--;
    else
        text->in_body = empty;
    text->done = text->in_body && text->lines == 0;
}

/* What is there of the line, at most `most` octets and its end; returns how many went out. */
static size_t put_part(struct mailbox_text *text, uint8_t *out, size_t most) {
    struct span part = span_part(span_of(text->octets, text->to), text->from, most);
    size_t n = span_find(part, '\n');
    if (n) {
        memcpy(out, part.p, n);
        text->cr = out[n - 1] == '\r';
        text->any = true, text->ended = false;
    }
    text->from += n, text->line_n += n;
    if (n == part.n) return n;
    bool crlf = text->cr && !text->lf_only, empty = text->line_n == (crlf ? 1 : 0);
    if (!crlf) out[n++] = '\r';
    out[n++] = '\n';
    text->from++;
    text->any = text->ended = true;
    text->cr = false, text->line_n = 0;
    count_line(text, empty);
    return n;
}

/* 1: there is more, 0: the file has ended, -1. */
static int fill(struct mailbox_text *text) {
    ssize_t got = disk_read(text->fd, text->octets, sizeof text->octets, text->at);
    if (got <= 0) return (int)got;
    text->from = 0, text->to = (size_t)got;
    text->at += (uint64_t)got;
    return 1;
}

ssize_t mailbox_text_read(struct mailbox_text *text, uint8_t *out, size_t n) {
    size_t done = 0;
    while (!text->done && n - done > LINE_END_BYTES) {
        if (text->from == text->to) {
            int more = fill(text);
            if (more < 0) return -1;
            if (more == 0) {
                text->done = true;
                if (!text->any || text->ended) break;
                memcpy(out + done, "\r\n", LINE_END_BYTES);
                return (ssize_t)(done + LINE_END_BYTES);
            }
        }
        done += put_part(text, out + done, n - done - LINE_END_BYTES);
    }
    return (ssize_t)done;
}
