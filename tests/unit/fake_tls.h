/* fake_tls.h - the server's side of TLS for tests, with a certificate made on the spot. */
#ifndef TESTS_UNIT_FAKE_TLS_H
#define TESTS_UNIT_FAKE_TLS_H

/* Makes a key and a self-signed certificate for "mx.example" and 192.0.2.25. A descriptor of the PEM certificate,
 * for tls_client_new. */
int fake_tls_prepare(void);

/* The highest version that the server speaks from now on (TLS1_1_VERSION ...; 0: all). */
void fake_tls_limit(int version);

/* For struct fake_smarthost: does TLS over `fd` in a further process; *in_out, *out_out become the clear side. */
void fake_tls_take(int fd, int *in_out, int *out_out);

#endif
