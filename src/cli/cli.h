/* SPDX-License-Identifier: BSD-2-Clause */
/** The program behind main(). */
#ifndef ML_CLI_CLI_H
#define ML_CLI_CLI_H

/** Runs a command line and returns the exit status. */
int ml_cli_run(int argc, char **argv);

#endif
