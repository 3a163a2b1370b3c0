/* SPDX-License-Identifier: BSD-2-Clause */
#include "cli/command.h"

#include "target/ptrace_stop.h"

#include <stdlib.h>
#include <sys/wait.h>

struct ml_error *ml_command_start(const struct ml_options *options, const sigset_t *mask,
				  struct ml_command *out)
{
	struct ml_command command = {0};
	/* The terminal is the live view's. */
	struct ml_launch_options launch = {.mask = mask, .off_terminal = options->live};
	struct ml_error *error = NULL;

	if (!options->words)
		error = ml_launch_words(options->command, &command.words);
	if (error)
		return ml_error_wrap(error, "--command");
	error = ml_launch_start(options->words ? options->words : command.words, &launch,
				&command.launch);
	if (error)
		free(command.words);
	else
		*out = command;
	return error;
}

pid_t ml_command_pid(const struct ml_command *command)
{
	return ml_launch_pid(command->launch);
}

void ml_command_peek(struct ml_command *command)
{
	siginfo_t info = {0};

	if (command->has_ended ||
	    waitid(P_PID, (id_t)ml_command_pid(command), &info, WEXITED | WNOHANG | WNOWAIT) ||
	    !info.si_pid || !ml_ptrace_is_end(&info))
		return;
	command->has_ended = true;
	command->is_exit = info.si_code == CLD_EXITED;
	command->number = info.si_status;
}

void ml_command_take_end(struct ml_command *command, int status)
{
	if (command->has_ended)
		return;
	command->has_ended = true;
	command->is_exit = WIFEXITED(status);
	command->number = command->is_exit ? WEXITSTATUS(status) : WTERMSIG(status);
}

void ml_command_describe_end(const struct ml_command *command, struct ml_strbuf *text)
{
	if (!command->has_ended)
		return;
	ml_strbuf_printf(text, command->is_exit ? "exit status %d" : "signal %d", command->number);
}

void ml_command_kill(struct ml_command *command)
{
	kill(ml_command_pid(command), SIGKILL);
	waitpid(ml_command_pid(command), NULL, 0);
}

void ml_command_deinit(struct ml_command *command)
{
	ml_launch_destroy(command->launch);
	free(command->words);
	*command = (struct ml_command){0};
}
