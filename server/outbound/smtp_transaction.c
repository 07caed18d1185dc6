/* smtp_transaction.c - sending one message: RFC 5321 3.3, 1870, 2033, 2920, 3461, 6152, 6531.
 * Runs in: SMTP and LMTP agents. Trusts: no octet of the envelope, no reply. Never: sends an argument that could end
 * its command, reports a recipient as taken before the reply to the final dot that is meant for it. */
#include "server/outbound/smtp_transaction.h"

#include "auth/address.h"
#include "server/outbound/smtp_body.h"

#include <errno.h>

enum { GROUP_MAX = 100 /* RFC 5321 4.5.3.1.8 */, COMMAND_BYTES = 4096 };

enum outcome { BROKEN = 0, STALE /* the connection had died while idle: try a new one */, FINISHED };

struct transaction {
    struct smtp_client *client;
    struct job_inbox *inbox;
    struct job *job;
    struct smtp_body body;
    size_t group[GROUP_MAX];
    bool taken[GROUP_MAX], later[GROUP_MAX];
    size_t n, n_taken;
    struct smtp_reply mail, data; /* code 0: not seen */
    struct smtp_reply late;       /* the reply to those that must wait for a later group */
};

bool smtp_transaction_address(struct span address) {
    bool quoted = false;
    for (size_t i = 0; i < address.n; i++) {
        uint8_t c = address.p[i];
        if (c < 0x20 || c == 0x7f) return false;
        if (quoted && c == '\\' && i + 1 < address.n && address.p[i + 1] >= 0x20 && address.p[i + 1] != 0x7f)
            i++;
        else if (c == '"')
            quoted = !quoted;
        else if (!quoted && (c == ' ' || c == '<' || c == '>'))
            return false;
    }
    return !quoted;
}

/* Whether `text` can be a parameter's value: printable ASCII without spaces. */
static bool is_value(struct span text) {
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] <= 0x20 || text.p[i] >= 0x7f) return false;
    return true;
}

static bool offers(const struct transaction *t, enum smtp_extension extension) {
    return (t->client->extensions & (unsigned)extension) != 0;
}

static void answer(struct transaction *t, size_t recipient, struct job_answer answer) {
    answer.remote = span_text(t->client->host);
    job_answer(t->inbox, t->job, recipient, &answer);
}

static void answer_rest(struct transaction *t, struct job_answer with) {
    for (size_t i = 0; i < t->job->n_recipients; i++) answer(t, i, with);
}

static struct job_answer refusal(const char *status, struct span why) {
    return (struct job_answer){.outcome = JOB_FAILED, .status = status, .diagnostic = why};
}

/* What this next hop cannot take whatever the recipient. Bodies are passed on as they are: none is converted to
 * seven bits. Header lines in UTF-8 are at their end with LMTP: a mailbox can hold them, as our own Maildirs do. */
static bool check_message(struct transaction *t) {
    const struct smtp_client *client = t->client;
    bool utf8 = !span_is_ascii(t->job->sender) || (!client->lmtp && (t->job->flags & JOB_UTF8) && t->body.has_8bit);
    struct job_answer with;
    if (!smtp_transaction_address(t->job->sender))
        with = refusal("5.1.7", SPAN("the sender's address cannot be sent"));
    else if (t->body.has_8bit && !offers(t, SMTP_8BITMIME))
        with = refusal("5.6.3", SPAN("the next host does not take 8-bit text (8BITMIME)"));
    else if (utf8 && !offers(t, SMTP_SMTPUTF8))
        with = refusal("5.6.7", SPAN("the next host does not take internationalized mail (SMTPUTF8)"));
    else if (offers(t, SMTP_SIZE) && client->size_max && t->body.bytes > client->size_max)
        with = refusal("5.3.4", SPAN("the message is larger than the next host takes (SIZE)"));
    else
        return true;
    answer_rest(t, with);
    return false;
}

static void check_recipients(struct transaction *t) {
    for (size_t i = 0; i < t->job->n_recipients; i++) {
        struct span address = t->job->recipients[i].address;
        if (address.n == 0 || !smtp_transaction_address(address))
            answer(t, i, refusal("5.1.3", SPAN("the address cannot be sent")));
        else if (!span_is_ascii(address) && !offers(t, SMTP_SMTPUTF8))
            answer(t, i,
                   refusal("5.6.7", SPAN("the next host does not take internationalized addresses (SMTPUTF8)")));
    }
}

static void pick_group(struct transaction *t) {
    t->n = t->n_taken = 0;
    t->mail.code = t->data.code = t->late.code = 0;
    memset(t->taken, 0, sizeof t->taken);
    memset(t->later, 0, sizeof t->later);
    for (size_t i = 0; i < t->job->n_recipients && t->n < GROUP_MAX; i++)
        if (!t->job->recipients[i].answered) t->group[t->n++] = i;
}

static bool needs_utf8(const struct transaction *t) {
    if (!span_is_ascii(t->job->sender) || ((t->job->flags & JOB_UTF8) && t->body.has_8bit)) return true;
    for (size_t i = 0; i < t->n; i++)
        if (!span_is_ascii(t->job->recipients[t->group[i]].address)) return true;
    return false;
}

static void put_mail(const struct transaction *t, struct buf *line) {
    const struct job *job = t->job;
    buf_put_text(line, "MAIL FROM:<");
    buf_put_span(line, job->sender);
    buf_put_octet(line, '>');
    if (offers(t, SMTP_SIZE)) buf_put_text(line, " SIZE="), buf_put_number(line, t->body.bytes);
    if (t->body.has_8bit) buf_put_text(line, " BODY=8BITMIME");
    if (offers(t, SMTP_SMTPUTF8) && needs_utf8(t)) buf_put_text(line, " SMTPUTF8");
    if (!offers(t, SMTP_DSN)) return;
    if (job->dsn_return == DSN_RETURN_FULL) buf_put_text(line, " RET=FULL");
    if (job->dsn_return == DSN_RETURN_HEADERS) buf_put_text(line, " RET=HDRS");
    if (job->envid.n && is_value(job->envid)) buf_put_text(line, " ENVID="), buf_put_span(line, job->envid);
}

/* RFC 3461 4.1: NEVER stands alone. */
static void put_notify(struct buf *line, uint8_t notify) {
    static const struct {
        uint8_t bit;
        const char *word;
    } rows[] = {{DSN_NOTIFY_SUCCESS, "SUCCESS"}, {DSN_NOTIFY_FAILURE, "FAILURE"}, {DSN_NOTIFY_DELAY, "DELAY"}};
    const char *before = " NOTIFY=";
    if (notify & DSN_NOTIFY_NEVER) buf_put_text(line, " NOTIFY=NEVER");
    for (size_t i = 0; i < 3 && !(notify & DSN_NOTIFY_NEVER); i++) {
        if (!(notify & rows[i].bit)) continue;
        buf_put_text(line, before);
        buf_put_text(line, rows[i].word);
        before = ",";
    }
}

static void put_rcpt(const struct transaction *t, struct buf *line, const struct job_recipient *recipient) {
    buf_put_text(line, "RCPT TO:<");
    buf_put_span(line, recipient->address);
    buf_put_octet(line, '>');
    if (!offers(t, SMTP_DSN)) return;
    put_notify(line, recipient->notify);
    if (recipient->orcpt.n && is_value(recipient->orcpt))
        buf_put_text(line, " ORCPT="), buf_put_span(line, recipient->orcpt);
}

/* The commands of a group in order: RSET, MAIL, a RCPT for each, DATA. */
enum { STEP_RESET, STEP_MAIL, STEP_RCPT };
static size_t step_data(const struct transaction *t) {
    return STEP_RCPT + t->n;
}

static void put_step(struct transaction *t, size_t step) {
    uint8_t storage[COMMAND_BYTES];
    struct buf line = BUF_OVER(storage);
    if (step == STEP_RESET)
        buf_put_text(&line, "RSET");
    else if (step == STEP_MAIL)
        put_mail(t, &line);
    else if (step == step_data(t))
        buf_put_text(&line, "DATA");
    else
        put_rcpt(t, &line, &t->job->recipients[t->group[step - STEP_RCPT]]);
    buf_put_text(&line, "\r\n");
    smtp_stream_put(&t->client->stream, buf_span(&line));
}

static void take_rcpt(struct transaction *t, size_t i, const struct smtp_reply *reply) {
    if (!smtp_reply_positive(&t->mail)) return;
    if (smtp_reply_positive(reply))
        t->taken[i] = true, t->n_taken++;
    else if (reply->code == 452 && t->n_taken && memcmp(reply->status, "4.2.", 4) != 0) /* that is one mailbox's */
        t->later[i] = true, t->late = *reply;                                           /* RFC 5321 4.5.3.1.10 */
    else
        answer(t, t->group[i], smtp_reply_answer(reply));
}

/* Reads the reply to a step. False: the stream is broken. */
static bool read_step(struct transaction *t, size_t step) {
    const struct smtp_limits *limits = t->client->limits;
    struct smtp_reply reply;
    smtp_stream_limit(&t->client->stream, step == step_data(t) ? limits->data_ms : limits->command_ms);
    if (!smtp_reply_read(&t->client->stream, &reply, NULL, NULL)) return false;
    if (step == STEP_MAIL)
        t->mail = reply;
    else if (step == step_data(t))
        t->data = reply;
    else if (step != STEP_RESET)
        take_rcpt(t, step - STEP_RCPT, &reply);
    else if (!smtp_reply_positive(&reply))
        return false;
    return true;
}

/* Whether a step is due when each waits for the one before. */
static bool is_due(const struct transaction *t, size_t step) {
    if (step <= STEP_MAIL) return true;
    return smtp_reply_positive(&t->mail) && (step < step_data(t) || t->n_taken);
}

/* RFC 2920: the group goes out in one piece where the next hop takes that. */
static bool exchange(struct transaction *t) {
    size_t first = t->client->used ? STEP_RESET : STEP_MAIL;
    bool pipelined = offers(t, SMTP_PIPELINING);
    smtp_stream_limit(&t->client->stream, t->client->limits->command_ms);
    for (size_t step = first; step <= step_data(t); step++) {
        if (!pipelined && !is_due(t, step)) break;
        put_step(t, step);
        if (!pipelined && (!smtp_stream_flush(&t->client->stream) || !read_step(t, step))) return false;
    }
    if (!pipelined) return true;
    if (!smtp_stream_flush(&t->client->stream)) return false;
    for (size_t step = first; step <= step_data(t); step++)
        if (!read_step(t, step)) return false;
    return true;
}

/* RFC 3461 5.2.2: who knows of DSN tells the sender that it was delivered. LMTP delivers (RFC 2033); where its server
 * does not tell, we do. */
static enum job_outcome success(const struct transaction *t, size_t i) {
    bool told = t->job->recipients[t->group[i]].notify & DSN_NOTIFY_SUCCESS;
    if (!told) return JOB_DELIVERED;
    if (t->client->lmtp) return offers(t, SMTP_DSN) ? JOB_REPORTED : JOB_DELIVERED;
    return offers(t, SMTP_DSN) ? JOB_DELIVERED : JOB_RELAYED;
}

/* The reply to the data for one of the group. */
static void answer_final(struct transaction *t, size_t i, const struct smtp_reply *reply) {
    struct job_answer with = smtp_reply_answer(reply);
    if (smtp_reply_positive(reply)) with.outcome = success(t, i), with.status = reply->status;
    answer(t, t->group[i], with);
}

static void answer_taken(struct transaction *t, struct job_answer with) {
    for (size_t i = 0; i < t->n; i++)
        if (t->taken[i]) answer(t, t->group[i], with);
}

/* Reads what became of the message: one reply for each recipient that was taken, in their order (RFC 2033 4.2); by
 * SMTP one for all. Those whose reply does not come are put off. */
static bool read_final(struct transaction *t) {
    struct smtp_stream *stream = &t->client->stream;
    struct smtp_reply reply = {0};
    for (size_t i = 0; i < t->n; i++) {
        if (!t->taken[i]) continue;
        smtp_stream_limit(stream, t->client->limits->final_ms);
        if ((t->client->lmtp || !reply.code) && !smtp_reply_read(stream, &reply, NULL, NULL)) {
            smtp_client_lost(t->client, true, &reply);
            answer_taken(t, smtp_reply_answer(&reply));
            return false;
        }
        answer_final(t, i, &reply);
        if (t->client->lmtp || smtp_reply_positive(&reply)) t->late.code = 0; /* those that wait have their turn */
    }
    return true;
}

/* After 354. The data are ended also where nobody is left to take them (RFC 2920 3.1); but an LMTP server that wants
 * them then is in no order that we know (RFC 2033 4.2). */
static bool send_data(struct transaction *t) {
    struct smtp_stream *stream = &t->client->stream;
    struct smtp_reply reply;
    int error = 0;
    if (!t->n_taken) {
        if (t->client->lmtp) return false;
        smtp_stream_put(stream, SPAN(".\r\n"));
        smtp_stream_limit(stream, t->client->limits->final_ms);
        return smtp_stream_flush(stream) && smtp_reply_read(stream, &reply, NULL, NULL);
    }
    job_sending(t->inbox, t->job);
    if (smtp_body_send(t->job, stream, t->client->limits->block_ms, &error)) return read_final(t);
    if (error)
        answer_taken(t, (struct job_answer){.status = "4.3.0", .diagnostic = span_text(strerrordesc_np(error))});
    return false;
}

static enum outcome run_group(struct transaction *t) {
    bool was_used = t->client->used;
    bool whole = exchange(t);
    t->client->used = true;
    if (was_used && (t->mail.code == 421 || (!whole && t->mail.code == 0))) return STALE;
    if (t->mail.code && !smtp_reply_positive(&t->mail)) answer_rest(t, smtp_reply_answer(&t->mail));
    if (!whole) return BROKEN;
    if (t->data.code == 354)
        whole = send_data(t);
    else if (t->n_taken) {
        answer_taken(t, smtp_reply_answer(&t->data));
        whole = t->data.code / 100 >= 4;
    }
    for (size_t i = 0; i < t->n && t->late.code; i++)
        if (t->later[i]) answer(t, t->group[i], smtp_reply_answer(&t->late));
    return whole ? FINISHED : BROKEN;
}

static void run_groups(struct transaction *t) {
    struct smtp_reply lost;
    for (;;) {
        if (smtp_client_connect(t->client) != 0) {
            answer_rest(t, smtp_reply_answer(&t->client->fault));
            return;
        }
        if (!check_message(t)) return;
        check_recipients(t);
        pick_group(t);
        if (t->n == 0) return;
        enum outcome outcome = run_group(t);
        if (outcome == FINISHED) continue;
        smtp_client_lost(t->client, false, &lost);
        if (outcome == STALE) continue;
        answer_rest(t, smtp_reply_answer(&lost));
        return;
    }
}

void smtp_transaction_run(struct smtp_client *client, struct job_inbox *inbox, struct job *job) {
    static struct transaction t;
    t = (struct transaction){.client = client, .inbox = inbox, .job = job};
    if (client->stream.fd >= 0 && smtp_stream_stirred(&client->stream)) smtp_stream_close(&client->stream);
    if (smtp_body_survey(job, &t.body))
        run_groups(&t);
    else
        answer_rest(&t, (struct job_answer){.status = "4.3.0", .diagnostic = span_text(strerrordesc_np(errno))});
    job_finish(inbox, job, &(struct job_answer){.status = "4.3.0"});
}
