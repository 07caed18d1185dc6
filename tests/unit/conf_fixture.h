/* conf_fixture.h - configuration files in a temporary directory of their own, with certificate, key and password
 * files beside them. In texts %D stands for that directory; in messages it is cut away again. */
#ifndef TESTS_UNIT_CONF_FIXTURE_H
#define TESTS_UNIT_CONF_FIXTURE_H

#include "conf/conf.h"
#include "tests/unit/scratch.h"

extern char fixture_directory[SCRATCH_BYTES];

void fixture_begin(void); /* makes the directory and its files */
void fixture_end(void);   /* removes them */

/* Writes a file of the directory; the text may hold %D. */
void fixture_write(const char *name, const char *text, size_t n);

/* The whole of a file of the source tree, found beside the tests; the caller frees. */
char *fixture_source(const char *name);

/* Reads t.conf of the directory; `messages_out` is what was printed, without the directory. The caller frees both. */
struct conf *fixture_read(char **messages_out);

/* Writes `text` to t.conf with what a whole configuration needs behind it (less what `without` names), so that lines
 * count from the text, and reads it. */
enum { WITHOUT_HOST = 1, WITHOUT_LISTEN = 2, WITHOUT_DOMAIN = 4, WITHOUT_CERTIFICATE = 8 };
struct conf *fixture_read_text(const char *text, unsigned without, char **messages_out);

/* The same for a text that must be accepted. */
struct conf *fixture_read_good(const char *text, unsigned without);

/* conf_print into a text, with or without the origins. */
char *fixture_print(const struct conf *conf, bool origins);

/* A text with each `from` replaced. The caller frees. */
char *fixture_replace(const char *text, const char *from, const char *to);

#endif
