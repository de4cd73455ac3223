# SPDX-License-Identifier: Apache-2.0

$(eval $(call program,tests/perf/bench_jail,tests/perf/bench_jail.c $(JAIL_ATTEMPTS) $(JAIL_TEST),-luring -lcap))
$(eval $(call program,tests/perf/bench_start,tests/perf/bench_start.c tests/perf/cpu.c))
BENCH_BLK := tests/perf/cpu.c $(FRONT_END) tests/wire/front_blk.c ipc/vhost_user.c $(IPC)
$(eval $(call program,tests/perf/bench_blk,tests/perf/bench_blk.c $(BENCH_BLK)))
$(eval $(call program,tests/perf/bench_turns,tests/perf/bench_turns.c $(BENCH_BLK)))
$(eval $(call program,tests/perf/bench_processes,tests/perf/bench_processes.c $(BENCH_BLK)))
$(eval $(call program,tests/perf/bench_guest,tests/perf/bench_guest.c tests/perf/cpu.c))
BENCHES := $(O)/tests/perf/bench_guest $(O)/tests/perf/bench_jail $(O)/tests/perf/bench_start \
	$(O)/tests/perf/bench_blk $(O)/tests/perf/bench_turns $(O)/tests/perf/bench_processes $(O)/tests/perf/first_byte.guest \
	$(O)/tests/perf/bench_rebirth $(O)/tests/perf/bench_reconnect
$(O)/tests/perf/first_byte.guest: tests/perf/first_byte.S tests/guest/guest.lds vmm-core/layout.h
	$(call say,GUEST,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(GUEST_FLAGS) -o $@ $<
$(eval $(call program,tests/perf/bench_rebirth,tests/perf/bench_rebirth.c $(STORM)))
$(eval $(call program,tests/perf/bench_reconnect,tests/perf/bench_reconnect.c))

# bulkhead-blk without statistics, to measure what they cost: made as it is.
UNCOUNTED := $(patsubst %.c,$(O)/musl/uncounted/%.o,$(filter-out gen/%,$(BLK))) \
	$(call musl_objects,gen/policy_blk.c)
$(O)/musl/uncounted/%.o: %.c tests/perf/uncounted.h | $(O)/include/.made
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(MUSL_COMPILE) -include tests/perf/uncounted.h -c -o $@ $<
$(O)/tests/perf/blk_uncounted: $(UNCOUNTED)
	$(call say,LD,$@)
	$(Q)$(CC) $(MUSL_LINK) -o $@ $^ -l:liburing.a $(QCOW2_LIBS) -l:libcap.a $(MUSL_END)
OBJECTS += $(UNCOUNTED)
BENCHES += $(O)/tests/perf/blk_uncounted
$(O)/uncounted/%.o: %.c tests/perf/uncounted.h
	$(call say,CC,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(COMPILE) -include tests/perf/uncounted.h -c -o $@ $<
# The same of a queue alone.
COUNTING := tests/perf/bench_counting.c tests/perf/cpu.c $(filter-out tests/fuzz/ring.c,$(FUZZ_RING))
$(eval $(call program,tests/perf/bench_counting,$(COUNTING)))
$(O)/tests/perf/bench_uncounted: $(patsubst %.c,$(O)/uncounted/%.o,$(COUNTING))
	$(call say,LD,$@)
	$(Q)$(CC) $(LINK) -pthread -o $@ $^
BENCHES += $(O)/tests/perf/bench_counting $(O)/tests/perf/bench_uncounted
