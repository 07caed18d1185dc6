/* handshake.c - a TLS handshake, and who hears of it.
 * Runs in: session. Trusts: auth, keys. Never: keeps the channel to the keys process once it is over. */
#include "server/inbound/handshake.h"

#include "server/inbound/ask.h"
#include "server/inbound/client.h"
#include "server/inbound/tls.h"
#include "server/lab/fault.h"
#include "store/log.h"

#include <unistd.h>

static void log_tls(enum log_event event, enum log_key key, const char *text) {
    struct log_line line;
    log_open(&line, event);
    log_text(&line, key, text);
    log_send(&line);
}

const char *handshake_keys(int *fd_out) {
    *fd_out = -1;
    if (!tls_available() || !ask_keys(fd_out)) return "TLS is not available";
    return *fd_out < 0 ? "keys are not available" : NULL;
}

enum handshake_end handshake(int keys_fd, uint64_t deadline_ms) {
    if (fault_tls() != FAULT_GO_ON) {
        close(keys_fd);
        return HANDSHAKE_FAILED;
    }
    enum client_status status = client_start_tls(keys_fd, deadline_ms);
    close(keys_fd);
    if (status == CLIENT_FINE) {
        log_tls(LOG_TLS, KEY_TLS, tls_description());
        return ask_tls(tls_description()) ? HANDSHAKE_DONE : HANDSHAKE_ALONE;
    }
    log_tls(LOG_TLS_FAILED, KEY_WHY, status == CLIENT_LATE ? "timeout" : tls_reason());
    return ask_failure(SESSION_FAILURE_TLS) && status != CLIENT_ALONE ? HANDSHAKE_FAILED : HANDSHAKE_ALONE;
}
