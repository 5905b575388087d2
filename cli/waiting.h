/* SPDX-License-Identifier: MIT */
/* How the library's threads wait for each other. */
#ifndef TG_CLI_WAITING_H
#define TG_CLI_WAITING_H

/* Makes threads that wait sleep after some microseconds, unless the user's environment says how
 * they wait. May begin the program anew with the same arguments, so nothing may have been done yet
 * that must not be done twice. */
void wait_asleep(char *const *argv);

#endif
