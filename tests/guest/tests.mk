# SPDX-License-Identifier: Apache-2.0

# Bare-metal guests: what KVM's instruction emulator can run (tests/guest/lib.h).
GUEST_FLAGS := -std=gnu11 -I. -O1 -ffreestanding -fno-pie -mno-red-zone \
	-mgeneral-regs-only -mcmodel=kernel -fno-stack-protector \
	-fcf-protection=none -fno-asynchronous-unwind-tables $(WARN) \
	-nostdlib -static -Wl,-T,tests/guest/guest.lds \
	-Wl,--build-id=none -Wl,-z,noexecstack \
	-Wl,--no-warn-rwx-segments
# $(call guest,NAME,SOURCES): $(O)/tests/guest/NAME.guest
define guest
$(O)/tests/guest/$(1).guest: $(2) tests/guest/guest.lds tests/guest/lib.h tests/guest/virtio.h tests/guest/ring.h tests/guest/hostile.h vmm-core/layout.h
	$$(call say,GUEST,$$@)
	$$(Q)mkdir -p $$(@D)
	$$(Q)$$(CC) $$(GUEST_FLAGS) -o $$@ $(2)
GUESTS += $(O)/tests/guest/$(1).guest
endef
GUEST_LIB := tests/guest/start.S tests/guest/lib.c
$(eval $(call guest,first,tests/guest/first.S))
$(eval $(call guest,exits,tests/guest/exits.c $(GUEST_LIB)))
$(eval $(call guest,smp,tests/guest/smp.c $(GUEST_LIB)))
$(eval $(call guest,virtio_blk,tests/guest/virtio_blk.c tests/guest/virtio.c $(GUEST_LIB)))
$(eval $(call guest,blk_storm,tests/guest/blk_storm.c tests/guest/ring.c tests/guest/virtio.c $(GUEST_LIB)))
$(eval $(call guest,blk_bench,tests/guest/blk_bench.c tests/guest/virtio.c $(GUEST_LIB)))
$(eval $(call guest,hostile,tests/guest/hostile.c tests/guest/hostile_bus.c tests/guest/hostile_virtio.c tests/guest/virtio.c $(GUEST_LIB)))
$(eval $(call guest,latency,tests/guest/latency.c tests/guest/virtio.c $(GUEST_LIB)))
GUEST_TEST := tests/guest/harness.c tests/tap.c ipc/fault.c ipc/log.c ipc/fdmsg.c ipc/life.c \
	ipc/regchan.c
$(eval $(call test,tests/guest/test_exits,tests/guest/test_exits.c $(GUEST_TEST)))
$(eval $(call test,tests/guest/test_faults,tests/guest/test_faults.c $(GUEST_TEST)))
$(eval $(call test,tests/guest/test_smp,tests/guest/test_smp.c $(GUEST_TEST)))
$(eval $(call test,tests/guest/test_virtio_blk,tests/guest/test_virtio_blk.c $(GUEST_TEST)))
$(eval $(call program,tests/guest/hostile_device,tests/guest/hostile_device.c tests/wire/fake_backend.c ipc/vhost_user.c ipc/log.c ipc/fdmsg.c))
TESTS += $(O)/tests/guest/hostile_device
STORM := tests/guest/storm_vm.c $(GUEST_TEST)
$(eval $(call test,tests/guest/test_rebirth,tests/guest/test_rebirth.c $(STORM)))
$(O)/tests/guest/test_rebirth $(O)/tests/perf/bench_rebirth: | $(GUESTS) all
$(O)/tests/guest/test_exits $(O)/tests/guest/test_faults $(O)/tests/guest/test_smp $(O)/tests/guest/test_virtio_blk: | $(GUESTS) $(O)/bulkhead-core $(O)/bulkhead-blk
