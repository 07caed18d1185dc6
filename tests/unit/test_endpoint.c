/* test_endpoint.c - what names an LMTP server, and what does not. */
#include "store/endpoint.h"

#include <criterion/criterion.h>

Test(endpoint, forms) {
    static const struct {
        const char *text;
        bool sound;
        const char *path, *host;
        uint16_t port;
        bool literal;
    } rows[] = {
        {"unix:/run/dovecot/lmtp", true, "/run/dovecot/lmtp", "", 0, false},
        {"UNIX:/x", true, "/x", "", 0, false},
        {"unix:/", false, "", "", 0, false},
        {"unix:", false, "", "", 0, false},
        {"unix:run/lmtp", false, "", "", 0, false},
        {"unix:/run/with space", false, "", "", 0, false},
        {"imap.example.org:24", true, "", "imap.example.org", 24, false},
        {"localhost:2424", true, "", "localhost", 2424, false},
        {"192.0.2.1:24", true, "", "192.0.2.1", 24, true},
        {"[2001:db8::1]:65535", true, "", "2001:db8::1", 65535, true},
        {"2001:db8::1:24", false, "", "", 0, false},
        {"[2001:db8::1]", false, "", "", 0, false},
        {"[imap.example.org]:24", false, "", "", 0, false},
        {"imap.example.org", false, "", "", 0, false},
        {"imap.example.org:", false, "", "", 0, false},
        {"imap.example.org:0", false, "", "", 0, false},
        {"imap.example.org:65536", false, "", "", 0, false},
        {"imap.example.org:24x", false, "", "", 0, false},
        {":24", false, "", "", 0, false},
        {"", false, "", "", 0, false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct endpoint endpoint;
        bool sound = endpoint_parse(&endpoint, span_text(rows[i].text));
        cr_expect_eq(sound, rows[i].sound, "%s", rows[i].text);
        if (!sound) continue;
        cr_expect(span_equal(endpoint.path, span_text(rows[i].path)) &&
                      span_equal(endpoint.host, span_text(rows[i].host)) && endpoint.port == rows[i].port &&
                      endpoint.literal == rows[i].literal,
                  "%s", rows[i].text);
        if (endpoint.literal) cr_expect_eq(endpoint.address.port, endpoint.port);
    }
}

Test(endpoint, lengths) {
    char text[400] = "unix:/";
    struct endpoint endpoint;
    memset(text + 6, 'x', ENDPOINT_PATH_MAX - 1);
    cr_expect(endpoint_parse(&endpoint, span_text(text)) && endpoint.path.n == ENDPOINT_PATH_MAX);
    text[5 + ENDPOINT_PATH_MAX] = 'x';
    cr_expect_not(endpoint_parse(&endpoint, span_text(text)));
    memset(text, 'x', sizeof text);
    memcpy(text + ENDPOINT_MAX - 3, ":24", 4);
    cr_expect(endpoint_parse(&endpoint, span_text(text)));
    memset(text, 'x', sizeof text);
    memcpy(text + ENDPOINT_MAX - 2, ":24", 4);
    cr_expect_not(endpoint_parse(&endpoint, span_text(text)));
}
