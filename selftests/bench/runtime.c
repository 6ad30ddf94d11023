/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Calls a CNI plugin as a container runtime does, for so many pods at once, and says what each call
 * cost: a line "NANOSECONDS CPU_MICROSECONDS" a pod, from before its process is made until it has
 * ended, and the process's own CPU time (user and system). The last line, "all NANOSECONDS", is
 * from the first start to the last end. What a plugin prints goes to stderr where it fails.
 *
 *   runtime NODE_PID PLUGIN COMMAND AT_ONCE < LINES
 *
 * The first line of the input is the network configuration, each further one is a pod: the process
 * whose network namespace it is, container, namespace, name. Paths are of the node's mount
 * namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PODS_MAX 1024
#define VARIABLES 7

struct pod {
	char *environment[VARIABLES];
	int input, output;
	pid_t process;
	long long began, took; /* ns */
	long long cpu;	       /* us */
};

static struct pod pods[PODS_MAX];
static unsigned int pod_count;

static void __attribute__((noreturn)) die(const char *what)
{
	perror(what);
	exit(1);
}

static long long now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void enter(const char *pid, const char *kind, int type)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/%s/ns/%s", pid, kind);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, type))
		die(path);
	close(fd);
}

static int memory_file(const char *text)
{
	int fd = memfd_create("bench", MFD_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0 || lseek(fd, 0, SEEK_SET) < 0)
		die("memfd");
	return fd;
}

static char *variable(const char *name, const char *value)
{
	char *text;

	if (asprintf(&text, "%s=%s", name, value) < 0)
		abort();
	return text;
}

static char *arguments_of(const char *namespace, const char *name)
{
	char *text;

	if (asprintf(&text, "CNI_ARGS=K8S_POD_NAMESPACE=%s;K8S_POD_NAME=%s;IgnoreUnknown=1",
		     namespace, name) < 0)
		abort();
	return text;
}

static void add_pod(char *line, const char *command, const char *config)
{
	struct pod *pod = &pods[pod_count++];
	const char *part[4];
	char netns[64];

	for (int i = 0; i < 4; i++) {
		part[i] = strtok(i ? NULL : line, " \n");
		if (!part[i] || pod_count == PODS_MAX) {
			fputs("a pod is: PID CONTAINER NAMESPACE NAME\n", stderr);
			exit(2);
		}
	}
	snprintf(netns, sizeof(netns), "/proc/%s/ns/net", part[0]);
	pod->environment[0] = variable("CNI_COMMAND", command);
	pod->environment[1] = variable("CNI_CONTAINERID", part[1]);
	pod->environment[2] = variable("CNI_NETNS", netns);
	pod->environment[3] = variable("CNI_IFNAME", "eth0");
	pod->environment[4] = variable("CNI_PATH", "/opt/cni/bin");
	pod->environment[5] = arguments_of(part[2], part[3]);
	pod->input = memory_file(config);
	pod->output = memory_file("");
}

static void start(struct pod *pod, char *plugin)
{
	posix_spawn_file_actions_t files;
	char *arguments[] = { plugin, NULL };
	int r;

	posix_spawn_file_actions_init(&files);
	posix_spawn_file_actions_adddup2(&files, pod->input, STDIN_FILENO);
	posix_spawn_file_actions_adddup2(&files, pod->output, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&files, pod->output, STDERR_FILENO);
	pod->began = now();
	r = posix_spawn(&pod->process, plugin, &files, NULL, arguments, pod->environment);
	if (r) {
		errno = r;
		die(plugin);
	}
	posix_spawn_file_actions_destroy(&files);
}

static void show_output(const struct pod *pod)
{
	char text[4096];
	ssize_t size = pread(pod->output, text, sizeof(text), 0);

	if (size > 0)
		(void)!write(STDERR_FILENO, text, (size_t)size);
}

static long long cpu_of(const struct rusage *usage)
{
	return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000LL +
	       usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
}

/* False: the plugin failed. */
static bool wait_one(void)
{
	struct rusage usage;
	int status;
	pid_t process = wait4(-1, &status, 0, &usage);
	long long end = now();

	if (process < 0)
		die("wait");
	for (unsigned int i = 0; i < pod_count; i++) {
		if (pods[i].process != process)
			continue;
		pods[i].took = end - pods[i].began;
		pods[i].cpu = cpu_of(&usage);
		if (!status)
			return true;
		show_output(&pods[i]);
	}
	return false;
}

static void run(char *plugin, unsigned int at_once)
{
	unsigned int running = 0, failed = 0;
	long long began = now();

	for (unsigned int i = 0; i < pod_count || running;) {
		if (i < pod_count && running < at_once) {
			start(&pods[i++], plugin);
			running++;
			continue;
		}
		failed += !wait_one();
		running--;
	}
	for (unsigned int i = 0; i < pod_count; i++)
		printf("%lld %lld\n", pods[i].took, pods[i].cpu);
	printf("all %lld\n", now() - began);
	if (failed) {
		fprintf(stderr, "%u of %u failed\n", failed, pod_count);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	char *config = NULL, *line = NULL;
	size_t config_room = 0, room = 0;

	if (argc != 5 || atoi(argv[4]) < 1 || getline(&config, &config_room, stdin) < 0) {
		fputs("usage: runtime NODE PLUGIN COMMAND AT_ONCE < LINES\n", stderr);
		return 2;
	}
	while (getline(&line, &room, stdin) > 0)
		add_pod(line, argv[3], config);
	enter(argv[1], "net", CLONE_NEWNET);
	enter(argv[1], "uts", CLONE_NEWUTS);
	enter(argv[1], "mnt", CLONE_NEWNS);
	run(argv[2], (unsigned int)atoi(argv[4]));
	free(config);
	free(line);
	return 0;
}
