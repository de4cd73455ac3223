# SPDX-License-Identifier: Apache-2.0

# The probe goes into jails, so it is linked like the processes that do.
JAIL_ATTEMPTS := tests/jail/attempts.c tests/jail/ring.c \
	tests/jail/attempts_files.c tests/jail/attempts_processes.c \
	tests/jail/attempts_network.c tests/jail/attempts_kernel.c \
	gen/policy_blk.c gen/policy_console.c gen/policy_core.c \
	gen/policy_rng.c gen/policy_serial.c
JAIL_PROBE := tests/jail/probe.c $(JAIL_ATTEMPTS) ipc/log.c ipc/fdmsg.c $(CONFINE)
$(eval $(call program,tests/jail/probe,$(JAIL_PROBE),-luring -lcap))
JAIL_TEST := tests/jail/harness.c tests/tap.c ipc/log.c ipc/fdmsg.c $(JAIL)
$(eval $(call test,tests/jail/test_break_out,tests/jail/test_break_out.c $(JAIL_ATTEMPTS) $(JAIL_TEST),-luring -lcap))
$(eval $(call test,tests/jail/test_birth,tests/jail/test_birth.c $(JAIL_ATTEMPTS) $(JAIL_TEST),-luring -lcap))
$(eval $(call test,tests/jail/test_stages,tests/jail/test_stages.c $(JAIL_ATTEMPTS) $(JAIL_TEST),-luring -lcap -lseccomp))
$(eval $(call program,tests/jail/show_jail,tests/jail/show_jail.c jail/inspect.c))
FILTER := tests/jail/filter.c $(patsubst %,gen/policy_%.c,blk console core disk rng serial)
$(eval $(call program,tests/jail/show_filter,tests/jail/show_filter.c $(FILTER)))
$(eval $(call program,tests/jail/at_exit,tests/jail/at_exit.c jail/inspect.c $(FILTER)))
TESTS += $(O)/tests/jail/show_filter $(O)/tests/jail/at_exit
$(eval $(call confined,tests/jail/overflow,tests/jail/overflow.c ipc/log.c))
TESTS += $(O)/tests/jail/overflow
$(eval $(call program,tests/jail/neighbour,tests/jail/neighbour.c))
TESTS += $(O)/tests/jail/neighbour
$(O)/tests/jail/test_break_out $(O)/tests/jail/test_birth $(O)/tests/jail/test_stages: | $(O)/tests/jail/probe
