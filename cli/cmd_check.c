/* SPDX-License-Identifier: Apache-2.0 */
/* bulkhead check: read a configuration and say what it means; opens nothing. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cmd.h"
#include "cli/config.h"
#include "cli/fault_parse.h"

static const char *yes_no(bool value)
{
	return value ? "yes" : "no";
}

static void print_connect(const struct config_device *dev)
{
	static const char *const names[] = {
		[LIFE_CHARDEV_NULL] = "null",
		[LIFE_CHARDEV_TERMINAL] = "terminal",
		[LIFE_CHARDEV_PTY] = "pty",
		[LIFE_CHARDEV_FILE] = "file:",
		[LIFE_CHARDEV_SOCKET] = "socket:",
	};
	const char *path = dev->connect.to.path;

	printf("%s: connect %s%s\n", dev->name, names[dev->connect.kind],
	       path ? path : "");
	if (dev->connect.kind == LIFE_CHARDEV_FILE)
		printf("%s: max_size %" PRIu64 "M\n", dev->name,
		       dev->max_size_bytes >> 20);
}

static void print_blk(const struct config_device *dev)
{
	if (dev->socket.path) {
		printf("blk %s: back-end at %s, queues %u\n", dev->name,
		       dev->socket.path, dev->nr_queues);
		return;
	}
	printf("blk %s: path %s, read_only %s, cache %s, queues %u, discard %s, packed %s, poll %uus, sched_batch %s, registered_buffers %s\n",
	       dev->name, dev->image.path, yes_no(dev->read_only),
	       life_cache_names[dev->cache],
	       dev->nr_queues, yes_no(dev->discard), yes_no(dev->packed),
	       dev->poll_us, yes_no(dev->sched_batch),
	       yes_no(dev->registered_buffers));
	if (dev->nr_processes > 1)
		printf("blk %s: processes %u\n", dev->name,
		       dev->nr_processes);
	if (dev->format != LIFE_BLK_RAW)
		printf("blk %s: format %s\n", dev->name,
		       config_format_name(dev->format));
	for (unsigned int i = 0; i < dev->chain.nr; i++)
		printf("blk %s: backing %s:%s\n", dev->name,
		       dev->chain.backing[i].file.path,
		       config_format_name(dev->chain.backing[i].format));
	if (dev->record.path)
		printf("blk %s: record %s\n", dev->name, dev->record.path);
}

static void print_limits(const char *name,
			 const struct config_limit limits[CONFIG_NR_LIMITS])
{
	for (int i = 0; i < CONFIG_NR_LIMITS; i++)
		if (limits[i].origin)
			printf("%s: %s %s\n", name, config_limit_file(i),
			       limits[i].text);
}

static void print_vm(const struct config *cfg)
{
	printf("%s: ok\n", cfg->file);
	printf("vm: name %s, memory %" PRIu64 "M%s, cpus %u\n", cfg->name,
	       cfg->memory_bytes >> 20, cfg->huge_pages ? " in huge pages" : "",
	       cfg->nr_cpus);
	printf("vm: kernel %s, initrd %s\n", cfg->kernel.path,
	       cfg->initrd.path ? cfg->initrd.path : "none");
	printf("vm: cmdline %s\n", cfg->cmdline);
	printf("vm: on_reboot %s, on_panic %s, stop_timeout %ums\n",
	       cfg->on_reboot == CONFIG_REBOOT_RESTART ? "restart" : "stop",
	       cfg->on_panic == CONFIG_PANIC_REPORT ? "report" : "stop",
	       cfg->stop_timeout_ms);
	printf("vm: on_crash %s, max_restarts %u, heartbeat %ums, spare %s\n",
	       config_on_crash_name(cfg->on_crash), cfg->max_restarts,
	       cfg->heartbeat_ms, cfg->spare ? "yes" : "no");
	if (cfg->cgroup.path)
		printf("vm: cgroup %s\n", cfg->cgroup.path);
	print_limits("core", cfg->core_limits);
}

static void print_devices(const struct config *cfg)
{
	for (unsigned int i = 0; i < cfg->nr_devices; i++) {
		const struct config_device *dev = &cfg->device[i];

		if (dev->process)
			continue;	/* as the disk itself */
		print_limits(dev->name, dev->limits);
		if (dev->on_crash != cfg->on_crash)
			printf("%s: on_crash %s\n", dev->name,
			       config_on_crash_name(dev->on_crash));
		if (dev->role == LIFE_ROLE_BLK)
			print_blk(dev);
		else if (dev->role == LIFE_ROLE_RNG)
			printf("rng: getrandom\n");
		else
			print_connect(dev);
	}
}

static void print_faults(const struct config *cfg)
{
	char text[FAULT_TEXT_MAX];

	if (cfg->nr_faults)
		printf("fault: seed %" PRIu64 "\n", cfg->fault_seed);
	for (unsigned int i = 0; i < cfg->nr_faults; i++) {
		unsigned int index = cfg->fault[i].device;
		bool core = index == CONFIG_CORE;

		fault_format(&cfg->fault[i].rule, core ? LIFE_ROLE_CORE :
			     cfg->device[index].role, text);
		printf("fault: %s %s\n",
		       core ? "core" : cfg->device[index].name, text);
	}
}

static int check(int argc, char **argv)
{
	struct config *cfg;
	bool verbose;
	int status = cmd_load_config(&cmd_check, argc, argv, &cfg, &verbose);

	if (status)
		return status;
	print_vm(cfg);
	print_devices(cfg);
	print_faults(cfg);
	config_free(cfg);
	return EXIT_SUCCESS;
}

const struct command cmd_check = {
	.name = "check",
	.args = "CONFIG [--set SECTION.KEY=VALUE]...",
	.summary = "Check a configuration and print what it amounts to",
	.help = "  -s, --set SECTION.KEY=VALUE  as if CONFIG said so\n",
	.run = check,
};
