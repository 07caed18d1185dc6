/* system_users.h - the users of this host, as auth is told of them: who has which uid, and as whom it sends. */
#ifndef SERVER_PROCESS_SYSTEM_USERS_H
#define SERVER_PROCESS_SYSTEM_USERS_H

#include "auth/auth_setup.h"
#include "conf/conf.h"
#include "store/loop.h"

#define SYSTEM_USERS_FILE "/etc/passwd"

struct system_users {
    struct auth_system_user *items; /* spans into `names` and the configuration */
    size_t n;
    char *names;
};

/* Reads the file, which is that of passwd(5): no name service is asked, it could wait. A file that cannot be read is
 * logged, and there is nobody. Of
 * several with one uid the first counts, as with getpwuid(3). */
void system_users_read(struct system_users *out, const struct conf *conf, const char *path);
void system_users_free(struct system_users *users);

/* Calls back when the file was changed or replaced. False: this kernel cannot tell, and changes count from the next
 * reload on. `path` must outlive the watch, and that the loop; one file is watched at a time. */
bool system_users_watch(struct loop *loop, struct loop_watch *watch, const char *path,
                        void (*changed)(void)) MUST_USE;

#endif
