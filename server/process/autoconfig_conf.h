/* autoconfig_conf.h - from the configuration to what mail programs are told. */
#ifndef SERVER_PROCESS_AUTOCONFIG_CONF_H
#define SERVER_PROCESS_AUTOCONFIG_CONF_H

#include "conf/conf.h"
#include "server/lab/autoconfig.h"

/* The settings for addresses in `domain`, which is local, of whoever reads them: no user, the same login for fetching
 * and sending, no SPA. Views into the configuration. */
void autoconfig_of_conf(const struct conf *conf, const struct conf_domain *domain, struct autoconfig *out);

#endif
