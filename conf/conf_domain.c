/* conf_domain.c - domains of the configuration in the one form that is compared: A-labels, ASCII lower case.
 * Runs in: master and command line. Trusts: libidn2 for names that are not ASCII. Never: asks the DNS. */
#include "conf/conf_reader.h"

#include <idn2.h>
#include <stdlib.h>

/* Letters, digits, inner hyphens and the underscore that some internal domains have; 63 octets a label, 253 in all
 * (RFC 1035 2.3.4, RFC 5321 2.3.5). */
static const char *name_fault(const char *name, size_t n) {
    size_t label = 0;
    bool numeric = true;
    if (n == 0) return "is empty";
    if (n > 253) return "is longer than a domain may be";
    for (size_t i = 0; i < n; i++) {
        char c = name[i];
        bool inner = label > 0 && i + 1 < n && name[i + 1] != '.';
        bool digit = c >= '0' && c <= '9';
        if (c == '.') {
            if (label == 0) return "has an empty label";
            label = 0, numeric = true;
            continue;
        }
        if (!digit && !(c >= 'a' && c <= 'z') && c != '_' && !(c == '-' && inner)) return "is not a domain name";
        numeric = numeric && digit;
        if (++label > 63) return "has a label of more than 63 octets";
    }
    if (label == 0) return "has an empty label";
    /* The last label is never a number: RFC 1123 2.1. */
    return numeric ? "is not a domain name; it looks like an address" : NULL;
}

char *conf_domain_normal(const char *text, const char **why_out) {
    uint8_t *labels = NULL;
    if (!span_is_ascii(span_text(text))) {
        int flags = IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL | IDN2_USE_STD3_ASCII_RULES;
        if (strlen(text) > 1000 || idn2_lookup_u8((const uint8_t *)text, &labels, flags) != IDN2_OK) {
            *why_out = "is not a valid international domain name";
            return NULL;
        }
        text = (const char *)labels;
    }
    size_t n = strlen(text);
    if (n > 1 && text[n - 1] == '.') n--;
    char *name = conf_copy(text, n);
    idn2_free(labels);
    for (size_t i = 0; i < n; i++) name[i] = (char)octet_lower((uint8_t)name[i]);
    *why_out = name_fault(name, n);
    if (!*why_out) return name;
    free(name);
    return NULL;
}

const struct conf_domain *conf_local_domain(const struct conf *conf, const char *name) {
    const char *why;
    const struct conf_domain *found = NULL;
    char *normal = conf_domain_normal(name, &why);
    for (size_t i = 0; normal && i < conf->n_local_domains; i++)
        if (strcmp(conf->local_domains[i].name, normal) == 0) found = &conf->local_domains[i];
    free(normal);
    return found;
}
