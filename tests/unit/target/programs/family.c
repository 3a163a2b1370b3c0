/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * A program with children: after a line on its stdin it forks, spawns, makes a thread that forks,
 * then a thread that execs; prints the pid of each child and ends with status 7.
 */
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void say(const char *what, long number)
{
	char line[64];
	int length = snprintf(line, sizeof(line), "%s %ld\n", what, number);

	if (write(STDOUT_FILENO, line, (size_t)length) != length)
		_exit(9);
}

static void on_signal(int number)
{
	say("signal", number);
}

static void fork_one(const char *name)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(3);
	say(name, pid);
	waitpid(pid, &status, 0);
	say("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void *fork_in_thread(void *unused)
{
	fork_one("thread-forked");
	return unused;
}

static void *exec_in_thread(void *path)
{
	execl(path, "family", "end", (char *)NULL);
	return NULL;
}

static void spawn_one(void)
{
	char *argv[] = {(char *)"true", NULL};
	int status;
	pid_t pid;

	if (posix_spawn(&pid, "/bin/true", NULL, NULL, argv, NULL))
		_exit(8);
	say("spawned", pid);
	waitpid(pid, &status, 0);
	say("status", WIFEXITED(status) ? WEXITSTATUS(status) : -1);
}

static void *idle(void *unused)
{
	for (;;)
		usleep(1000);
	return unused;
}

int main(int argc, char **argv)
{
	pthread_t thread;

	if (argc > 1 && !strcmp(argv[1], "end"))
		return 7;
	signal(SIGUSR1, on_signal);
	for (int i = 0; i < 3; i++)
		pthread_create(&thread, NULL, idle, NULL);
	say("ready", getpid());
	for (int c = getchar(); c != '\n'; c = getchar())
		if (c == EOF && feof(stdin))
			return 6;
	fork_one("forked");
	spawn_one();
	pthread_create(&thread, NULL, fork_in_thread, NULL);
	pthread_join(thread, NULL);
	pthread_create(&thread, NULL, exec_in_thread, argv[0]);
	pthread_join(thread, NULL);
	return 5;
}
