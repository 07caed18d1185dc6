/* fuzz_reply.c - replies of another server, in pieces.
 * Runs in: fuzzing. Trusts: nothing. Never: lets an octet of the other side out that is not printable. */
#include "server/outbound/smtp_reply.h"
#include "tests/fuzz/fuzz.h"

#include <sys/socket.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n) {
    static struct smtp_stream stream;
    struct smtp_reply reply;
    int ends[2];
    HOLDS(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
    HOLDS(n > 100000 || n == 0 || write(ends[0], p, n) == (ssize_t)n);
    close(ends[0]);
    smtp_stream_open(&stream, ends[1]);
    smtp_stream_limit(&stream, 1000);
    while (smtp_reply_read(&stream, &reply, NULL, NULL)) {
        HOLDS(reply.code >= 200 && reply.code <= 599 && reply.n <= sizeof reply.text);
        HOLDS(memchr(reply.status, 0, sizeof reply.status) && reply.status[0] == '0' + reply.code / 100);
        for (size_t i = 0; i < reply.n; i++) HOLDS(reply.text[i] >= ' ' && reply.text[i] < 0x7f);
        struct job_answer answer = smtp_reply_answer(&reply);
        HOLDS(answer.outcome != JOB_FAILED || reply.code >= 500);
    }
    HOLDS(stream.fault);
    smtp_stream_close(&stream);
    return 0;
}
