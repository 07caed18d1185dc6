# gatepost: `make run` serves on loopback, `make test` tries everything. Both install missing Debian packages first.
#
#   make            builds ./gatepost and the programs of its processes in build/
#   make run        a server to play with: prints its users and lines to paste
#   make test       units, transcripts, real clients
#   make check      the same built by clang, under sanitizers and valgrind; longer runs; that planted faults are seen
#   make doors      who may include and link what
#   make fuzz       each fuzzer for FUZZ_SECONDS (20), with clang
#   make bench      our side of the measurements
#   make deps       the packages to build and run with; make deps-test: those of the tests too
#   make FAULTS=1   in build/faults, with gatepost serve --faults FILE: goes wrong as a script says, for tests of clients
#   make install    into PREFIX (/usr/local), DESTDIR in front of it; make uninstall takes it away
#   make clean

CC       ?= cc
PREFIX   ?= /usr/local
BUILD    ?= build
WARNINGS := -Wall -Wextra -Wshadow -Wconversion -Wsign-conversion -Wstrict-prototypes -Wmissing-prototypes \
            -Wpointer-arith -Wcast-qual -Wformat=2 -Wundef -Wvla -Wwrite-strings -Wimplicit-fallthrough -Werror
MACHINE  := $(shell uname -m)
BRANCHES := $(if $(filter x86_64 i%86,$(MACHINE)),-fcf-protection) \
            $(if $(filter aarch64,$(MACHINE)),-mbranch-protection=standard)
HARDEN   := -fstack-protector-strong -fstack-clash-protection $(BRANCHES) -D_FORTIFY_SOURCE=2
COMPILE   = $(CC) -std=c17 -O2 -g -fPIE -fno-strict-aliasing -D_GNU_SOURCE -I. $(WARNINGS) $(HARDEN) $(VARIANT) \
            $(CFLAGS)
LINK      = $(CC) -pie -Wl,-z,relro,-z,now,-z,noexecstack $(VARIANT) $(LDFLAGS)
LINK_SESSION = $(CC) -static-pie -Wl,-z,relro,-z,now,-z,noexecstack -Wl,--sort-section=name \
               -Wl,-z,separate-code,-z,max-page-size=0x200000 $(LDFLAGS)
LINK_ALONE = $(CC) -static-pie -Wl,-z,relro,-z,now,-z,noexecstack $(LDFLAGS)

# SANITIZE=1: address and undefined behaviour. The session is then linked dynamically and the filters are wider.
ifeq ($(SANITIZE),1)
BUILD    := build/sanitize
VARIANT  := -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer -DGATEPOST_SANITIZED
HARDEN   := -fstack-protector-strong
LINK_SESSION = $(LINK)
LINK_ALONE = $(LINK)
endif

# FAULTS=1: sessions that go wrong as a script says (gatepost-faults.5). Without it nothing of that is in the programs.
LAB_FAULTS := $(wildcard server/lab/fault*.c) server/process/faults.c
ifeq ($(FAULTS),1)
BUILD    := $(if $(filter 1,$(SANITIZE)),build/sanitize-faults,build/faults)
VARIANT  += -DGATEPOST_FAULTS
LAB_FAULTS :=
endif

MAINS    := $(wildcard server/process/main*.c)
SOURCES  := $(filter-out $(MAINS) $(LAB_FAULTS),$(wildcard store/*.c auth/*.c conf/*.c server/*/*.c))
OBJECTS  := $(SOURCES:%.c=$(BUILD)/%.o)
LIBRARY  := $(BUILD)/libgatepost.a

# Each role's program is its main and what that main pulls out of the library; a program that reaches for a library
# not named here does not link. That is the wall.
PROGRAMS := session pop3 auth verifier keys queue delivery outbound resolver policy log
LIBS_gatepost := -lconfig -lseccomp -lsodium -lidn2 -lunistring -lnettle
LIBS_session  := -lssl -lcrypto
LIBS_pop3     := -lssl -lcrypto
LIBS_auth     := -lsqlite3 -lidn2
LIBS_verifier := -lsodium -lunistring -lcrypt -lnettle
LIBS_keys     := -lcrypto
LIBS_queue    := -lsodium
LIBS_outbound := -lssl -lcrypto
LIBS_resolver := -lunbound
ALL_LIBS      := -lconfig -lseccomp -lsodium -lidn2 -lunistring -lsqlite3 -lssl -lcrypto -lunbound -lcrypt -lnettle

GATEPOST := $(if $(filter build,$(BUILD)),gatepost,$(BUILD)/gatepost)
BINARIES := $(GATEPOST) $(PROGRAMS:%=$(BUILD)/gatepost-%) $(BUILD)/gatepost-pop3-login

UNIT_MAINS   := $(filter-out $(if $(LAB_FAULTS),tests/unit/test_fault_%.c),$(wildcard tests/unit/test_*.c))
UNIT_HELPERS := $(filter-out tests/unit/test_%.c,$(wildcard tests/unit/*.c))
UNIT_LIBRARY := $(BUILD)/libunit.a
UNITS        := $(UNIT_MAINS:tests/unit/%.c=$(BUILD)/tests/unit/%)

FAULT_UNITS  := $(patsubst tests/unit/%.c,$(BUILD)/tests/unit/%,$(wildcard tests/unit/test_fault_*.c))

INTRUDER     := $(wildcard tests/intruder/*.c)

# The queue and Maildir agents in one process on a disk that fails; what differs from run to run is made up.
FAULT        := $(wildcard tests/fault/*.c)
FAULT_WRAP   := clock_ms clock_wall_ms getrandom randombytes_buf getpid frame_send_plain queue_mark

FUZZERS      := $(wildcard tests/fuzz/fuzz_*.c)

.PHONY: all faults deps deps-test run test check fuzz fuzzers doors bench install uninstall clean units
.SECONDARY:
.DELETE_ON_ERROR:

all: $(BINARIES)

$(BUILD)/%.o: %.c
	@mkdir -p $(@D)
	$(COMPILE) -MMD -MP -c $< -o $@

$(BUILD)/server/process/version.o: COMPILE += \
	-DGATEPOST_OPENSSL_LINKED='"$(shell pkg-config --modversion openssl 2>/dev/null)"'

$(LIBRARY): $(OBJECTS)
	@rm -f $@
	ar rcs $@ $^

$(GATEPOST): $(BUILD)/server/process/main.o $(LIBRARY)
	$(LINK) -o $@ $^ $(LIBS_gatepost)

# libcrypto.a asks for names that a static program resolves through the C library; the linker notes it, nothing here
# uses it.
$(BUILD)/gatepost-session $(BUILD)/gatepost-pop3: $(BUILD)/gatepost-%: $(BUILD)/server/process/main_%.o $(LIBRARY)
	$(LINK_SESSION) -o $@ $^ $(LIBS_$*)

# Other servers run it at each login: nothing to look for, nothing to load.
$(BUILD)/gatepost-pop3-login: $(BUILD)/server/process/main_pop3_login.o
	$(LINK_ALONE) -o $@ $^

$(BUILD)/gatepost-%: $(BUILD)/server/process/main_%.o $(LIBRARY)
	$(LINK) -o $@ $^ $(LIBS_$*)

$(UNIT_LIBRARY): $(UNIT_HELPERS:%.c=$(BUILD)/%.o)
	@rm -f $@
	ar rcs $@ $^

$(BUILD)/tests/unit/%: $(BUILD)/tests/unit/%.o $(UNIT_LIBRARY) $(LIBRARY)
	$(LINK) -o $@ $^ $(ALL_LIBS) -lcriterion

units: $(UNITS) $(BUILD)/tests/intruder/gatepost-session $(BUILD)/tests/fault/fault $(BUILD)/tests/bench/fill_queue

# With FAULTS=1: what tests/client/faults.py needs.
faults: all $(FAULT_UNITS)

# A session that was taken over, in the place of the real one: tests/intruder/run.py.
$(BUILD)/tests/intruder/gatepost-session: $(INTRUDER:%.c=$(BUILD)/%.o) $(LIBRARY)
	$(LINK) -o $@ $^

# A queue directory with a million messages in seconds.
$(BUILD)/tests/bench/fill_queue: $(BUILD)/tests/bench/fill_queue.o $(LIBRARY)
	$(LINK) -o $@ $^ $(LIBS_queue)

$(BUILD)/tests/fault/fault: $(FAULT:%.c=$(BUILD)/%.o) $(LIBRARY)
	$(LINK) $(FAULT_WRAP:%=-Wl,--wrap=%) -o $@ $^ -lsodium -lseccomp

deps:
	@sh conf/deps.sh

deps-test:
	@sh conf/deps.sh --test

run: deps
	@$(MAKE) --no-print-directory -s -j2 all
	@exec sh conf/run.sh

test: deps-test
	@$(MAKE) --no-print-directory -s -j2 all units doors
	@$(MAKE) --no-print-directory -s -j2 FAULTS=1 faults
	@sh tests/run.sh

check: deps-test
	@sh tests/check.sh

# The fuzzers are built by clang, by a second make with what is for them alone.
fuzz:
	@$(MAKE) --no-print-directory -s -j2 CC=clang BUILD=build/fuzz HARDEN= fuzzers \
		VARIANT="-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined \
			-fno-omit-frame-pointer -DGATEPOST_SANITIZED"
	@sh tests/fuzz/run.sh

fuzzers: $(FUZZERS:tests/fuzz/%.c=$(BUILD)/%)

$(BUILD)/fuzz_%: $(BUILD)/tests/fuzz/fuzz_%.o $(BUILD)/tests/fuzz/fuzz.o $(BUILD)/tests/fuzz/talk.o $(LIBRARY)
	$(LINK) -fsanitize=fuzzer -o $@ $^ $(ALL_LIBS)

# A client that answers as it should.
$(BUILD)/fuzz_ntlm: $(BUILD)/tests/unit/ntlm_client.o

# auth and queue as the units play them, in ask.c's place
$(BUILD)/tests/fuzz/talk.o: $(BUILD)/tests/unit/talk.o
	@cp $< $@

# After everything is linked: it reads the programs.
doors: all
	@sh tests/doors.sh $(BUILD)

bench: all
	@sh tests/bench/run.sh

install: all
	@sh conf/install.sh install "$(DESTDIR)" "$(PREFIX)"

uninstall:
	@sh conf/install.sh uninstall "$(DESTDIR)" "$(PREFIX)"

clean:
	rm -rf gatepost build/*.o build/*.a build/gatepost-* build/store build/auth build/conf build/server build/tests \
		build/sanitize build/clang build/fuzz build/faults build/sanitize-faults

-include $(OBJECTS:.o=.d) $(MAINS:%.c=$(BUILD)/%.d) $(UNIT_MAINS:%.c=$(BUILD)/%.d) \
	$(UNIT_HELPERS:%.c=$(BUILD)/%.d) $(INTRUDER:%.c=$(BUILD)/%.d) $(FUZZERS:%.c=$(BUILD)/%.d) \
	$(BUILD)/tests/bench/fill_queue.d
