/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cli/config*.c: what a configuration means, and the line that each wrong one
 * gets.  The table of wrong ones drives every check there is.
 */
#include <check.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/config_priv.h"

static char dir[] = "/tmp/test_config.XXXXXX";
static char file[64];

static void write_file(const char *text)
{
	FILE *f = fopen(file, "w");

	ck_assert_ptr_nonnull(f);
	ck_assert_uint_eq(fwrite(text, 1, strlen(text), f), strlen(text));
	fclose(f);
}

static struct config *load_with(const char *text, const char *const *sets,
				unsigned int nr_sets)
{
	char err[CONFIG_ERROR_MAX];
	struct config *cfg = NULL;
	int ret;

	write_file(text);
	ret = config_load(file, sets, nr_sets, &cfg, err);
	ck_assert_msg(ret == 0, "%d: %s", ret, err);
	return cfg;
}

static struct config *load(const char *text)
{
	return load_with(text, NULL, 0);
}

static const char *path_in_dir(const char *name)
{
	static char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	return path;
}

START_TEST(defaults_are_filled_in)
{
	struct config *cfg = load("[vm]\nkernel = k\n");

	ck_assert_str_eq(cfg->name, "test");
	ck_assert_uint_eq(cfg->memory_bytes, 512ull << 20);
	ck_assert_uint_eq(cfg->nr_cpus, 1);
	ck_assert_str_eq(cfg->kernel.path, path_in_dir("k"));
	ck_assert_ptr_null(cfg->initrd.path);
	ck_assert_str_eq(cfg->cmdline, "");
	ck_assert_int_eq(cfg->on_reboot, CONFIG_REBOOT_RESTART);
	ck_assert_int_eq(cfg->on_crash, CONFIG_CRASH_RESTART);
	ck_assert_uint_eq(cfg->max_restarts, 10);
	ck_assert_uint_eq(cfg->heartbeat_ms, 3000);
	ck_assert_int_eq(cfg->on_panic, CONFIG_PANIC_REPORT);
	ck_assert_uint_eq(cfg->stop_timeout_ms, 30000);
	ck_assert(!cfg->huge_pages);
	ck_assert_uint_eq(cfg->nr_devices, 0);
	config_free(cfg);
}
END_TEST

START_TEST(every_key_arrives)
{
	struct config *cfg = load("# all of them\n"
				  "[vm]\n"
				  "name = web.1\n"
				  "memory = 6G ; comment\n"
				  "cpus = 32\n"
				  "kernel = /boot/vmlinuz\n"
				  "initrd = sub/initrd\n"
				  "cmdline = root=/dev/vda\n"
				  "\tquiet\n"
				  "on_reboot = stop\n"
				  "on_panic = stop\n"
				  "huge_pages = yes\n"
				  "stop_timeout = 250ms\n"
				  "[blk vda]\n"
				  "path = a.img\n"
				  "read_only = yes\n"
				  "cache = writeback\n"
				  "queues = 3\n"
				  "serial = S-1\n"
				  "discard = yes\n"
				  "packed = yes\n"
				  "poll = 150us\n"
				  "[serial]\n"
				  "connect = socket:s\n"
				  "[console]\n"
				  "connect = pty\n"
				  "[rng]\n"
				  "[blk b]\n"
				  "socket = v.sock\n");

	ck_assert_str_eq(cfg->name, "web.1");
	ck_assert_uint_eq(cfg->memory_bytes, 6ull << 30);
	ck_assert_uint_eq(cfg->nr_cpus, 32);
	ck_assert_str_eq(cfg->kernel.path, "/boot/vmlinuz");
	ck_assert_str_eq(cfg->initrd.path, path_in_dir("sub/initrd"));
	ck_assert_str_eq(cfg->cmdline, "root=/dev/vda quiet");
	ck_assert_int_eq(cfg->on_reboot, CONFIG_REBOOT_STOP);
	ck_assert_int_eq(cfg->on_panic, CONFIG_PANIC_STOP);
	ck_assert(cfg->huge_pages);
	ck_assert_uint_eq(cfg->stop_timeout_ms, 250);
	ck_assert_uint_eq(cfg->nr_devices, 5);
	ck_assert_str_eq(cfg->device[0].image.path, path_in_dir("a.img"));
	ck_assert(cfg->device[0].read_only && cfg->device[0].discard);
	ck_assert(cfg->device[0].packed && !cfg->device[3].packed);
	ck_assert_int_eq(cfg->device[0].cache, LIFE_CACHE_WRITEBACK);
	ck_assert_uint_eq(cfg->device[0].nr_queues, 3);
	ck_assert_str_eq(cfg->device[0].serial, "S-1");
	ck_assert_uint_eq(cfg->device[0].poll_us, 150);
	ck_assert_uint_eq(cfg->device[4].poll_us, LIFE_BLK_POLL_US);
	ck_assert_int_eq(cfg->device[1].role, LIFE_ROLE_SERIAL);
	ck_assert_int_eq(cfg->device[1].connect.kind, LIFE_CHARDEV_SOCKET);
	ck_assert_str_eq(cfg->device[1].connect.to.path, path_in_dir("s"));
	ck_assert_int_eq(cfg->device[2].connect.kind, LIFE_CHARDEV_PTY);
	ck_assert_int_eq(cfg->device[3].role, LIFE_ROLE_RNG);
	ck_assert_str_eq(cfg->device[4].socket.path, path_in_dir("v.sock"));
	ck_assert_uint_eq(cfg->device[4].nr_queues, 4);
	config_free(cfg);
}
END_TEST

START_TEST(a_disk_may_have_several_processes)
{
	struct config *cfg = load("[vm]\nkernel = k\ncpus = 4\n"
				  "[blk a]\npath = x\nprocesses = 3\n"
				  "on_crash = stop\n"
				  "[fault]\na.2 = delay=5 op=read\n"
				  "[blk b]\npath = y\n"
				  "[blk c]\npath = z\nprocesses = 2\n");

	/* Behind all devices, so that those keep their places. */
	ck_assert_uint_eq(cfg->nr_devices, 6);
	ck_assert_uint_eq(cfg->nr_further, 3);
	ck_assert_str_eq(cfg->device[1].name, "b");
	ck_assert_uint_eq(cfg->device[1].nr_processes, 1);
	ck_assert_uint_eq(cfg->device[1].of, 1);
	for (unsigned int i = 3; i < 6; i++) {
		const struct config_device *dev = &cfg->device[i];
		static const char *const names[] = { "a.1", "a.2", "c.1" };

		ck_assert_str_eq(dev->name, names[i - 3]);
		ck_assert_uint_eq(dev->process, i == 4 ? 2 : 1);
		ck_assert_uint_eq(dev->of, i == 5 ? 2 : 0);
		ck_assert_uint_eq(dev->nr_queues, 4);
	}
	ck_assert_int_eq(cfg->device[4].on_crash, CONFIG_CRASH_STOP);
	ck_assert_uint_eq(cfg->nr_faults, 1);
	ck_assert_uint_eq(cfg->fault[0].device, 4);
	config_free(cfg);
}
END_TEST

START_TEST(limits_are_as_their_files_take_them)
{
	struct config *cfg = load("[vm]\nkernel = k\ncgroup = /sys/fs/cgroup/vm\n"
				  "[core]\ncpu_weight = 200\ncpu_max = 150%\n"
				  "[rng]\nmemory_max = 64M\n"
				  "[blk a]\npath = x\nio_weight = 10000\n"
				  "io_max = rbps=2K wbps=1G riops=7 wiops=8\n");
	const struct config_limit *core = cfg->core_limits;
	const struct config_limit *blk = cfg->device[1].limits;

	ck_assert_str_eq(cfg->cgroup.path, "/sys/fs/cgroup/vm");
	ck_assert_str_eq(core[CONFIG_LIMIT_CPU_WEIGHT].text, "200");
	ck_assert_str_eq(core[CONFIG_LIMIT_CPU_MAX].text, "150000 100000");
	ck_assert_ptr_null(core[CONFIG_LIMIT_MEMORY_MAX].origin);
	ck_assert_str_eq(cfg->device[0].limits[CONFIG_LIMIT_MEMORY_MAX].text,
			 "67108864");
	ck_assert_str_eq(blk[CONFIG_LIMIT_IO_WEIGHT].text, "10000");
	ck_assert_str_eq(blk[CONFIG_LIMIT_IO_MAX].text,
			 "rbps=2048 wbps=1073741824 riops=7 wiops=8");
	ck_assert(config_has_limits(core) && config_has_limits(blk));
	config_free(cfg);
	cfg = load("[vm]\nkernel = k\n[rng]\n");
	ck_assert_ptr_null(cfg->cgroup.path);
	ck_assert(!config_has_limits(cfg->core_limits));
	ck_assert(!config_has_limits(cfg->device[0].limits));
	config_free(cfg);
}
END_TEST

START_TEST(set_replaces_and_adds)
{
	static const char *const sets[] = {
		"vm.memory=1G", "blk a.b.path=/x=y.img", "vm.memory=2G",
		"serial.connect=null",
	};
	struct config *cfg = load_with("[vm]\nkernel = k\nmemory = 64M\n", sets,
				       4);

	ck_assert_uint_eq(cfg->memory_bytes, 2ull << 30);
	ck_assert_str_eq(cfg->memory_origin, "--set vm.memory");
	ck_assert_str_eq(cfg->device[0].name, "a.b");
	ck_assert_str_eq(cfg->device[0].image.path, "/x=y.img");
	ck_assert_str_eq(cfg->cmdline, "console=ttyS0");
	config_free(cfg);
}
END_TEST

/* Of [fault] it is the key that may have dots. */
START_TEST(set_takes_a_fault_of_a_further_process)
{
	static const char *const sets[] = { "blk a.processes=2",
					    "fault.a.1=delay=5 op=read" };
	struct config *cfg = load_with("[vm]\nkernel = k\ncpus = 2\n"
				       "[blk a]\npath = x\n", sets, 2);

	ck_assert_uint_eq(cfg->nr_faults, 1);
	ck_assert_uint_eq(cfg->fault[0].device, 1);
	config_free(cfg);
}
END_TEST

START_TEST(set_is_relative_to_the_current_folder)
{
	static const char *const sets[] = { "vm.kernel=k" };
	struct config *cfg = load_with("[vm]\nkernel = k\n", sets, 1);
	char *cwd = getcwd(NULL, 0);

	ck_assert_int_eq(strncmp(cfg->kernel.path, cwd, strlen(cwd)), 0);
	free(cwd);
	config_free(cfg);
}
END_TEST

#define VM	"[vm]\nkernel = k\n"

/* The file, and what its error must contain; "@" stands for the file. */
static const struct {
	const char *text;
	const char *error;
} wrong[] = {
	{ "", "@: [vm] needs 'kernel" },
	{ VM "color = red\n", "@:3: unknown key 'color' in [vm]" },
	{ VM "[usb]\n", "@:3: unknown section [usb]" },
	{ VM "[usb]\na = b\n", "@:3: unknown section [usb]" },
	{ VM "[blk]\npath = x\n", "@:3: unknown section [blk]" },
	{ VM "[serial 2]\n", "@:3: unknown section [serial 2]" },
	{ VM "[rng]\nrate = 5\n", "@:4: unknown key 'rate' in [rng]" },
	{ VM "memory = 1Q\n", "@:3: memory = 1Q: the unit must be M" },
	{ VM "memory = 512\n", "@:3: memory = 512: the unit must be M" },
	{ VM "memory = 3M\n", "@:3: memory = 3M: memory must be a multiple" },
	{ VM "memory = 0M\n", "@:3: memory = 0M: memory must be" },
	{ VM "memory = -1G\n", "@:3: memory = -1G: expected a size" },
	{ VM "memory = 99999999999999999999G\n", "expected a size" },
	{ VM "memory = 18446744073709551615G\n", "the size is too large" },
	{ VM "cpus = 0\n", "@:3: cpus = 0: expected a whole number" },
	{ VM "cpus = 33\n", "@:3: cpus = 33: expected a whole number" },
	{ VM "cpus = 2x\n", "@:3: cpus = 2x: expected a whole number" },
	{ VM "stop_timeout = 5\n", "@:3: stop_timeout = 5: the unit must" },
	{ VM "stop_timeout = 5m\n", "@:3: stop_timeout = 5m: the unit must" },
	{ VM "stop_timeout = 90000s\n", "at most 86400s" },
	{ VM "huge_pages = 1\n", "@:3: huge_pages = 1: expected yes or no" },
	{ VM "on_crash = maybe\n", "@:3: on_crash = maybe: expected" },
	{ VM "max_restarts = many\n", "@:3: max_restarts = many: expected" },
	{ VM "heartbeat = 10ms\n", "@:3: heartbeat = 10ms: expected" },
	{ VM "cgroup = vm\n", "@:3: cgroup = vm: expected auto" },
	{ VM "[core]\ncpu_weight = 10001\n", "cpu_weight = 10001: expected" },
	{ VM "[core]\ncpu_max = 0%\n", "cpu_max = 0%: expected" },
	{ VM "[core]\ncpu_max = 100001%\n", "cpu_max = 100001%: expected" },
	{ VM "[core]\ncpu_max = %\n", "cpu_max = %: expected" },
	{ VM "[core]\npath = x\n", "unknown key 'path' in [core]" },
	{ VM "[rng]\nmemory_max = 99999999999G\n", "expected a size" },
	{ VM "[rng]\nmemory_max = 1K\n", "expected a size" },
	{ VM "[blk a]\npath = x\nio_max = rbps=0M\n", "expected some of" },
	{ VM "[blk a]\npath = x\nio_max = riops=5M\n", "expected some of" },
	{ VM "[blk a]\npath = x\nio_max = =\n", "expected some of" },
	{ VM "[blk a]\nsocket = x\ncpu_max = 5%\n",
	  "cpu_max: a has a foreign back-end" },
	{ VM "on_reboot = maybe\n", "@:3: on_reboot = maybe: expected" },
	{ VM "on_panic = maybe\n", "@:3: on_panic = maybe: expected" },
	{ VM "name = a/b\n", "@:3: name = a/b: a name has" },
	{ VM "name = .a\n", "@:3: name = .a: a name has" },
	{ VM "name = 12345678901234567890123456789012\n", "a name has" },
	{ VM "initrd =\n", "@:3: initrd = : the path is empty" },
	{ VM "kernel = l\n", "@:3: 'kernel' is given twice in [vm]; first at @:2" },
	{ VM "[vm]\ncpus = 1\n", "@:3: [vm] is given twice; first at @:1" },
	{ VM "[rng]\n[rng]\n", "@:4: [rng] is given twice; first at @:3" },
	{ VM "[blk a]\npath = x\n[blk a]\npath = y\n",
	  "@:5: [blk a] is given twice; first at @:3" },
	{ VM "[blk a]\npath = x\n[blk  a]\npath = y\n",
	  "@:5: device 'a' is given twice; first at @:3" },
	{ VM "[blk a]\n", "@:3: [blk a] needs 'path" },
	{ VM "[blk a]\npath = x\nsocket = y\n", "@:5: [blk a] has both" },
	{ VM "[blk a]\nsocket = y\npacked = yes\n",
	  "@:4: [blk a] has a foreign back-end, which gets split rings" },
	{ VM "[blk rng]\npath = x\n", "@:3: [blk rng]: a disk's name" },
	{ VM "[blk a b]\npath = x\n", "@:3: [blk a b]: a disk's name" },
	{ VM "[blk 1234567890123456]\npath = x\n", "a disk's name" },
	{ VM "[blk a]\npath = x\ncache = all\n", "@:5: cache = all: expected" },
	{ VM "[blk a]\npath = x\nqueues = 0\n", "@:5: queues = 0: expected" },
	{ VM "[blk a]\npath = x\nprocesses = 33\n", "@:5: processes = 33: expected" },
	{ VM "[blk a]\npath = x\nprocesses = 2\n",
	  "@:3: [blk a] has processes = 2 for 1 queues" },
	{ VM "[blk a]\npath = x\nqueues = 4\nprocesses = 3\n",
	  "@:3: [blk a] has processes = 3 for 2 queues" },
	{ VM "[blk a]\nsocket = x\nqueues = 2\nprocesses = 2\n",
	  "@:3: [blk a] has processes = 2 and a foreign back-end" },
	{ VM "[blk a]\npath = x\nqueues = 2\nformat = qcow2\nprocesses = 2\n",
	  "@:3: [blk a] has processes = 2 and format = qcow2" },
	{ VM "[blk a]\npath = x\nqueues = 2\nrecord = r\nprocesses = 2\n",
	  "@:3: [blk a] has processes = 2 and a record" },
	{ VM "[blk a]\npath = x\nqueues = 2\nprocesses = 2\n[blk a.1]\npath = y\n",
	  "@:7: [blk a.1] is the name of a process of [blk a]" },
	{ VM "[blk a23456789012345]\npath = x\nqueues = 2\nprocesses = 2\n",
	  "a name for process 1 of it would be too long" },
	{ VM "cpus = 32\n[blk a]\npath = x\nqueues = 32\nprocesses = 32\n",
	  "more than 31 devices and processes of disks" },
	{ VM "[blk a]\npath = x\npoll = 20\n", "@:5: poll = 20: expected" },
	{ VM "[blk a]\npath = x\npoll = 1001us\n",
	  "@:5: poll = 1001us: expected a time from 0us" },
	{ VM "[blk a]\npath = x\nserial = 123456789012345678901\n",
	  "at most 20 characters" },
	{ VM "[serial]\nconnect = tcp:80\n", "@:4: connect = tcp:80: expected" },
	{ VM "[serial]\nconnect = file:\n", "@:4: connect = file:: expected" },
	{ VM "[serial]\nconnect = ptyx\n", "@:4: connect = ptyx: expected" },
	{ VM "[serial]\nconnect = terminal\n[console]\nconnect = terminal\n",
	  "@:6: the terminal already belongs to [serial] at @:4" },
	{ VM "cpus\n", "@:3: neither '[section]' nor 'key = value'" },
	{ VM "[rng\n", "@:3: neither '[section]' nor 'key = value'" },
	{ "kernel = k\n", "@:1: 'kernel' stands before the first section" },
	{ "[vm]\nkernel = k\n  l\n", "@:3: the line begins with a blank" },
};

/* "@" in expected is file. */
static void expand(const char *expected, char *out, size_t len)
{
	size_t used = 0;

	for (; *expected && used + sizeof(file) < len; expected++) {
		if (*expected == '@')
			used += (size_t)snprintf(out + used, len - used, "%s",
						 file);
		else
			out[used++] = *expected;
	}
	out[used] = '\0';
}

START_TEST(wrong_ones_get_their_line)
{
	char err[CONFIG_ERROR_MAX], expected[512];
	struct config *cfg;

	write_file(wrong[_i].text);
	ck_assert_int_lt(config_load(file, NULL, 0, &cfg, err), 0);
	ck_assert_ptr_null(cfg);
	expand(wrong[_i].error, expected, sizeof(expected));
	ck_assert_msg(strstr(err, expected), "'%s' has no '%s'", err, expected);
	ck_assert_ptr_null(strchr(err, '\n'));
}
END_TEST

static const struct {
	const char *set;
	const char *error;
} wrong_sets[] = {
	{ "memory=1G", "--set memory=1G: write section.key=value" },
	{ "vm.memory", "--set vm.memory: write section.key=value" },
	{ ".memory=1G", "write section.key=value" },
	{ "vm.=1G", "write section.key=value" },
	{ "vm.memory=1", "--set vm.memory: memory = 1: the unit must be" },
	{ "vm.color=1", "--set vm.color: unknown key 'color'" },
	{ "usb.a=1", "unknown section [usb]" },
	{ "blk a.queues=1", "[blk a] needs 'path" },
};

START_TEST(wrong_sets_get_their_line)
{
	char err[CONFIG_ERROR_MAX];
	struct config *cfg;

	write_file(VM);
	ck_assert_int_lt(config_load(file, &wrong_sets[_i].set, 1, &cfg, err),
			 0);
	ck_assert_msg(strstr(err, wrong_sets[_i].error), "'%s' has no '%s'",
		      err, wrong_sets[_i].error);
}
END_TEST

START_TEST(missing_file_is_named)
{
	char err[CONFIG_ERROR_MAX];
	struct config *cfg;

	ck_assert_int_lt(config_load("/nonexistent/x.conf", NULL, 0, &cfg, err),
			 0);
	ck_assert_ptr_nonnull(strstr(err, "/nonexistent/x.conf: cannot read"));
}
END_TEST

/* count devices, 31 is the most. */
static char *many_devices(int count)
{
	char *text = malloc(4096);
	int used = sprintf(text, VM);

	for (int i = 0; i < count; i++)
		used += sprintf(text + used, "[blk d%d]\npath = x\n", i);
	return text;
}

START_TEST(thirty_one_devices_and_no_more)
{
	char err[CONFIG_ERROR_MAX];
	char *text = many_devices(31);
	struct config *cfg = load(text);

	ck_assert_uint_eq(cfg->nr_devices, 31);
	config_free(cfg);
	free(text);
	text = many_devices(32);
	write_file(text);
	free(text);
	ck_assert_int_lt(config_load(file, NULL, 0, &cfg, err), 0);
	ck_assert_ptr_nonnull(strstr(err, "more than 31 devices"));
}
END_TEST

START_TEST(long_lines_are_refused)
{
	char text[400] = VM "cmdline = ";
	char err[CONFIG_ERROR_MAX];
	struct config *cfg;

	memset(text + strlen(text), 'a', 300);
	write_file(text);
	ck_assert_int_lt(config_load(file, NULL, 0, &cfg, err), 0);
	ck_assert_ptr_nonnull(strstr(err, ":3: line longer than"));
}
END_TEST

/* Any cut of a good file is loaded or refused with a line, never worse. */
START_TEST(cut_files_end_well)
{
	static const char good[] = "[vm]\nkernel = k\nmemory = 1G\ncmdline = a\n"
				   "  b\n[blk a]\npath = x\nserial = s\n[rng]\n";
	char text[sizeof(good)], err[CONFIG_ERROR_MAX];
	struct config *cfg;

	for (size_t len = 0; len < sizeof(good); len++) {
		memcpy(text, good, len);
		text[len] = '\0';
		write_file(text);
		if (config_load(file, NULL, 0, &cfg, err))
			ck_assert(err[0]);
		config_free(cfg);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *tcase = tcase_create("config");
	SRunner *runner;
	int failed;

	if (!mkdtemp(dir))
		return EXIT_FAILURE;
	snprintf(file, sizeof(file), "%s/test.conf", dir);
	tcase_add_test(tcase, defaults_are_filled_in);
	tcase_add_test(tcase, every_key_arrives);
	tcase_add_test(tcase, a_disk_may_have_several_processes);
	tcase_add_test(tcase, limits_are_as_their_files_take_them);
	tcase_add_test(tcase, set_replaces_and_adds);
	tcase_add_test(tcase, set_takes_a_fault_of_a_further_process);
	tcase_add_test(tcase, set_is_relative_to_the_current_folder);
	tcase_add_loop_test(tcase, wrong_ones_get_their_line, 0,
			    sizeof(wrong) / sizeof(wrong[0]));
	tcase_add_loop_test(tcase, wrong_sets_get_their_line, 0,
			    sizeof(wrong_sets) / sizeof(wrong_sets[0]));
	tcase_add_test(tcase, missing_file_is_named);
	tcase_add_test(tcase, thirty_one_devices_and_no_more);
	tcase_add_test(tcase, long_lines_are_refused);
	tcase_add_test(tcase, cut_files_end_well);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	unlink(file);
	rmdir(dir);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
