# mod_scim: a SCIM 2.0 service provider inside Apache httpd.
#
#   make            build build/mod_scim.so, build/mod_scim_pgsql.so and build/scimctl
#   make run        a SCIM endpoint on 127.0.0.1:8080 (PORT=, STATE=, CONF=)
#   make check      every test (T=file..., SAN=address,undefined, VALGRIND=1, ENGINE=pgsql)
#   make check-long    every test at its whole size: rounds, users, kills, floods
#   make gates      what else a change must pass; each of them by itself, too:
#     make lint        warnings of gcc and of clang, clang-tidy, cppcheck
#     make valgrind    what runs under valgrind in a few minutes
#     make tsan        ThreadSanitizer: whatever has threads, and two kinds of httpd
#     make coverage    lines that the unit tests run; fails where they are too few
#   make conformance   public suites from PyPI against a real server
#   make fuzz       libFuzzer over what comes from outside (TIME=, TARGETS=, MERGE=1)
#   make browser    the pages for people, as Chromium shows them
#   make check-cluster   three machines with PostgreSQL under Patroni, which are killed and cut off (T=, LONG=1)
#   make screenshots   pictures of the status page: build/status-light.png, -dark, -phone
#   make bench      how fast it is with a million users (N=, DURATION=, ROUNDS=, JSON=, PEERS=1; ENGINE=pgsql)
#   make install    PREFIX=/usr/local, DESTDIR=, LIBEXECDIR=, INCLUDEDIR=; make uninstall
#   make deb        Debian packages, in build/deb (LINTIAN=1, DEB_VERSION=)
#   make newcomer   README's own commands in a clean Debian 12 (PARTS=)
#   make platform   make check in a clean Debian (SUITE=trixie, CC=gcc or clang, T=)
#   make format, make man, make rules, make clean
#
# DEV=1 asks for more warnings and turns them into errors.  run, check, the gates and
# conformance install what is missing, and so does "make deps" for a build.

SHELL := /bin/bash
ifneq ($(words $(CURDIR)),1)
$(error make cannot build in a path that has a space in it: $(CURDIR); please move the clone)
endif
O ?= build$(if $(SAN),/$(subst $(comma),-,$(SAN)))
comma := ,

CC ?= cc
APXS ?= $(firstword $(shell command -v apxs2 apxs) apxs)
PROVE ?= prove
PKGS := apr-1 apr-util-1 jansson libcrypto libssl libutf8proc libxxhash zlib
# Of scimctl alone, beside libcsv, which no pkg-config knows.
CTL_PKGS := libcurl
# Of mod_scim_pgsql.so, of scimctl, and of tests that use that engine: never of mod_scim.so.
PGSQL_PKGS := libpq

# Callbacks have the parameters that their callers give: not all are of use.
WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
        -Wpointer-arith -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wno-unused-parameter
CFLAGS ?= -O2 -g
CFLAGS += -std=gnu11 -fPIC -fvisibility=hidden -fno-strict-aliasing -fstack-protector-strong $(WARN)
CPPFLAGS += -Iinclude -I$(O)/gen -D_GNU_SOURCE -D_FORTIFY_SOURCE=2
LDFLAGS += -Wl,-z,relro,-z,now,--as-needed
ifdef DEV
CFLAGS += -Wconversion -Werror
endif
ifdef COV
CFLAGS += --coverage -fprofile-update=atomic -O0 -U_FORTIFY_SOURCE
CPPFLAGS := $(filter-out -D_FORTIFY_SOURCE=2,$(CPPFLAGS))
endif
ifdef SAN
CFLAGS += -fsanitize=$(SAN) -fno-omit-frame-pointer -O1 -U_FORTIFY_SOURCE
CPPFLAGS := $(filter-out -D_FORTIFY_SOURCE=2,$(CPPFLAGS))
LDFLAGS += -fsanitize=$(SAN)
endif

# Asked for only by the rules that need them, so that "make deps" works on a
# machine that has none of them yet.
PKG_CFLAGS = $(shell pkg-config --cflags $(PKGS) $(PGSQL_PKGS))
PKG_LIBS = $(shell pkg-config --libs $(PKGS)) -llmdb
CTL_LIBS = $(shell pkg-config --libs $(CTL_PKGS)) -lcsv
PGSQL_LIBS = $(shell pkg-config --libs $(PGSQL_PKGS))
HTTPD_CFLAGS = -isystem $(shell $(APXS) -q INCLUDEDIR)

lib_src := $(wildcard mod_scim/core/*.c mod_scim/kv/*.c mod_scim/store/*.c mod_scim/service/*.c)
httpd_src := $(wildcard mod_scim/httpd/*.c)
# Of these, a module of its own.
pgsql_src := mod_scim/httpd/mod_scim_pgsql.c
ctl_src := $(wildcard mod_scim/ctl/*.c)
unit_src := $(wildcard t/unit/*.c)
schemas := $(wildcard conf/schemas/*.json)

obj = $(patsubst %.c,$(O)/%.o,$(1))
units := $(patsubst t/unit/%.c,$(O)/t/unit/%.t,$(filter t/unit/test_%.c,$(unit_src)))

.PHONY: all deps run check check-long gates lint objects tidied cppchecked valgrind tsan coverage conformance bench fuzz \
    browser check-cluster screenshots install uninstall deb newcomer platform clean format man rules tools
.SECONDARY: $(units:.t=.o)
all: $(O)/mod_scim.so $(O)/mod_scim_pgsql.so $(O)/scimctl

# What a build cannot begin without.
tools:
	@for tool in pkg-config $(firstword $(CC)) $(APXS); do \
	    command -v "$$tool" >/dev/null || { echo "$$tool is missing: run make deps first" >&2; exit 1; }; \
	done; pkg-config --exists $(PKGS) $(CTL_PKGS) $(PGSQL_PKGS) || { echo "libraries are missing: run make deps first" >&2; exit 1; }

# A schema document as a C string literal: "conf/schemas/User.json" -> User.inc
$(O)/gen/%.inc: conf/schemas/%.json | tools
	@mkdir -p $(@D)
	sed -e 's/[\\"]/\\&/g' -e 's/.*/"&\\n"/' $< > $@

$(O)/%.o: %.c | tools
	@mkdir -p $(@D)
	$(CC) $(CPPFLAGS) $(PKG_CFLAGS) $(CFLAGS) $(EXTRA) -MMD -MP -c -o $@ $<

$(call obj,$(filter mod_scim/core/schema.c,$(lib_src))): $(patsubst conf/schemas/%.json,$(O)/gen/%.inc,$(schemas))
$(call obj,$(httpd_src)): EXTRA = $(HTTPD_CFLAGS)

$(O)/libscim.a: $(call obj,$(lib_src))
	rm -f $@
	$(AR) rcs $@ $^

# Moved into place: a server may be running the one that is there.
$(O)/mod_scim.so: $(call obj,$(filter-out $(pgsql_src),$(httpd_src))) $(O)/libscim.a
	$(CC) -shared $(CFLAGS) $(LDFLAGS) -o $@.new $^ $(PKG_LIBS)
	mv $@.new $@

$(O)/mod_scim_pgsql.so: $(call obj,$(pgsql_src)) $(O)/libscim.a
	$(CC) -shared $(CFLAGS) $(LDFLAGS) -o $@.new $^ $(PKG_LIBS) $(PGSQL_LIBS)
	mv $@.new $@

$(O)/scimctl: $(call obj,$(ctl_src)) $(O)/libscim.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) $(PGSQL_LIBS) $(CTL_LIBS)

$(O)/t/unit/%.t: $(O)/t/unit/%.o $(O)/libscim.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(PKG_LIBS) $(PGSQL_LIBS) -lcmocka -lpthread

# The fuzz targets: all in one program, which runs them over the inputs that are
# kept, or each with libFuzzer.
fuzz_src := $(wildcard t/fuzz/*.c)
TARGETS ?= $(basename $(notdir $(fuzz_src)))
$(call obj,$(fuzz_src) t/unit/test_fuzz.c): EXTRA = $(HTTPD_CFLAGS) $(if $(findstring fuzzer,$(SAN)),,-DFUZZ_REPLAY)
$(O)/t/unit/test_fuzz.t: $(call obj,$(fuzz_src) mod_scim/httpd/config.c)

$(O)/t/fuzz/%: $(O)/t/fuzz/%.o $(O)/mod_scim/httpd/config.o $(O)/libscim.a
	$(CC) $(CFLAGS) $(LDFLAGS) -fsanitize=fuzzer -o $@ $< $(if $(filter config,$*),$(filter %/httpd/config.o,$^)) \
	    $(filter %.a,$^) $(PKG_LIBS) $(PGSQL_LIBS) -lcmocka

# Faults of the system for tests: linked into one, loaded into a server by others.
$(O)/t/unit/test_crash.t: $(O)/t/fault/record.o
$(addprefix $(O)/t/unit/,test_fault.t test_fault_store.t): $(O)/t/fault/shim.o

$(O)/t/fault/%.so: $(O)/t/fault/%.o
	$(CC) -shared $(CFLAGS) $(LDFLAGS) -o $@ $<

# With ThreadSanitizer, what a server has loaded in place of a part of libapr.
$(O)/t/gates/atomics.o: EXTRA = -fvisibility=default
$(O)/t/gates/atomics.so: $(O)/t/gates/atomics.o
	$(CC) -shared $(CFLAGS) $(LDFLAGS) -o $@ $<

deps:
	@t/lib/deps build

first_build = [ -e $(O)/mod_scim.so ] || echo "Building mod_scim (a minute) ..."

# PORT, STATE and CONF come to t/lib/run in the environment, spaces and all.
run:
	@t/lib/deps run
	@$(first_build)
	@$(MAKE) --no-print-directory -s all
	@O=$(abspath $(O)) exec t/lib/run

T ?= t/guard t/unit t/http t/idp
check:
	@t/lib/deps $(if $(filter pgsql,$(ENGINE)),pgsql,check)
	@$(first_build)
	@$(MAKE) --no-print-directory -s all $(units) $(O)/t/fault/shim.so $(O)/t/fault/clock.so \
	    $(if $(findstring thread,$(SAN)),$(O)/t/gates/atomics.so)
	@SCIM_BUILD=$(abspath $(O)) SCIM_SAN=$(SAN) SCIM_VALGRIND=$(VALGRIND) SCIM_ENGINE=$(ENGINE) \
	    PROVE="$(PROVE)" CMOCKA_MESSAGE_OUTPUT=TAP t/lib/check $(T)

# What stands for a million elsewhere is one here; a test may take as long as it likes.
check-long: export LONG = 1
check-long: export ROUNDS = 1000
check-long: export SCALE = 1000000
check-long: export SCIM_TEST_TIMEOUT = 7200
check-long: check

# Each gate says how long it took, and builds where it spoils no other build.
GATES ?= lint valgrind tsan coverage
gates:
	@failed=; for gate in $(GATES); do $(MAKE) --no-print-directory $$gate || failed+=" $$gate"; done; \
	    [ -z "$$failed" ] || { echo "Gates that failed:$$failed" >&2; exit 1; }

part = +@t/gates/timed "$@: $(1)"
submake = $(MAKE) --no-print-directory -s

lint:
	@t/lib/deps lint
	$(call part,gcc) $(submake) DEV=1 CC=gcc O=$(O)/lint/gcc objects
	$(call part,clang) $(submake) DEV=1 CC=clang-19 O=$(O)/lint/clang objects
	$(call part,clang-tidy) $(submake) DEV=1 CC=clang-19 O=$(O)/lint/clang tidied
	$(call part,cppcheck) $(submake) O=$(O)/lint/gcc cppchecked

# Not among them: what wants OpenLDAP's headers.
sources := $(lib_src) $(httpd_src) $(ctl_src) $(unit_src) $(wildcard t/fuzz/*.c t/fault/*.c t/gates/*.c t/example/*.c) \
    $(filter-out t/bench/ldap.c,$(wildcard t/bench/*.c))
objects: $(call obj,$(sources))
$(call obj,$(wildcard t/example/*.c)): EXTRA = $(HTTPD_CFLAGS)

# Of this release, because each finds more, and other things, than the one before.
TIDY ?= clang-tidy-19
# Again where the object was built again: that knows of the headers.
tidied: $(patsubst %.o,%.tidy,$(call obj,$(lib_src) $(httpd_src) $(ctl_src)))
$(O)/%.tidy: %.c $(O)/%.o .clang-tidy
	$(TIDY) --quiet $< -- -std=gnu11 $(CPPFLAGS) $(PKG_CFLAGS) $(HTTPD_CFLAGS) 2>/dev/null
	@touch $@

cppchecked:
	@mkdir -p $(O)/cppcheck
	cppcheck -q --std=c11 --library=posix --enable=warning,performance,portability --error-exitcode=1 \
	    --suppressions-list=t/gates/cppcheck.supp --cppcheck-build-dir=$(O)/cppcheck -j2 \
	    --template='{file}:{line}: {message} [{id}]' -D_GNU_SOURCE -D__GNUC__=12 -D__linux__ -D__x86_64__ \
	    -Iinclude -I$(O)/gen $(HTTPD_CFLAGS:-isystem%=-I%) $(shell pkg-config --cflags-only-I apr-1 $(PGSQL_PKGS)) mod_scim

# What takes a tenth of a second by itself takes seconds here: left out are those
# that do one thing very often, those that measure time, and test_json.c, which looks
# into memory that has been given back.
MEMCHECK ?= $(patsubst %,t/unit/test_%.c,batch buffer bulk clock cursor data error etag fuzz gauge id \
    interop list me needle params path project query rate render route schema service \
    sort store subject tally tenants text time token validate) t/http/leak.t
valgrind:
	$(call part,valgrind) $(submake) check VALGRIND=1 T="$(MEMCHECK)"

# Whatever has threads of its own; then servers, whose threads share all.
RACES ?= $(patsubst %,t/unit/test_%.c,backup interleave kv rate resource store tally verify)
SERVED ?= $(patsubst %,t/http/%.t,bulk concurrency deprovision export kill limit revoke stream)
# Where children are killed, event has a thread close a socket that its main thread listens
# to, which is a race of its own.
tsan:
	$(call part,units and worker) env SCIM_MPM=worker $(submake) check SAN=thread O=$(O)/thread T="$(RACES) $(SERVED)"
	$(call part,event) env SCIM_MPM=event $(submake) check SAN=thread O=$(O)/thread T="$(filter-out t/http/kill.t,$(SERVED))"

coverage:
	@[ ! -d $(O)/coverage ] || find $(O)/coverage -name '*.gcda' -delete
	$(call part,unit tests) $(submake) check COV=1 O=$(O)/coverage T=t/unit
	$(call part,the same on PostgreSQL) $(submake) check COV=1 ENGINE=pgsql O=$(O)/coverage \
	    T="$(patsubst %,t/unit/test_%.c,kv making pgsql)"
	$(call part,lines) t/gates/coverage $(O)/coverage

conformance:
	@t/lib/deps conformance
	@$(first_build)
	@$(MAKE) --no-print-directory -s all
	@O=$(abspath $(O)) t/conformance/run

bench_programs := $(addprefix $(O)/t/bench/,fill raw parse mod_bench.so)
$(O)/t/bench/mod_bench.o: EXTRA = $(HTTPD_CFLAGS) -fvisibility=default

$(O)/t/bench/mod_bench.so: $(O)/t/bench/mod_bench.o
	$(CC) -shared $(CFLAGS) $(LDFLAGS) -o $@ $<

$(O)/t/bench/%: $(O)/t/bench/%.o $(O)/libscim.a
	$(CC) $(CFLAGS) $(LDFLAGS) -o $@ $^ $(PKG_LIBS) $(PGSQL_LIBS)

bench:
	@t/lib/deps bench
	@$(if $(filter pgsql,$(ENGINE)),t/lib/deps pgsql)
	@$(first_build)
	@$(MAKE) --no-print-directory -s all $(bench_programs)
	@O=$(abspath $(O)) $(if $(filter pgsql,$(ENGINE)),DURABLE=on t/lib/pgsql run t/bench/pgsql,t/bench/run)

# TIME: seconds for each of TARGETS.  MERGE=1 keeps what was found in t/fuzz/corpus.
fuzz:
	@t/lib/deps fuzz
	@$(MAKE) --no-print-directory -s CC=clang SAN=fuzzer-no-link,address,undefined O=$(O)/fuzz \
	    $(addprefix $(O)/fuzz/t/fuzz/,$(TARGETS))
	@O=$(O)/fuzz TIME="$(TIME)" TARGETS="$(TARGETS)" MERGE="$(MERGE)" t/fuzz/run

# Not of "make check": a browser is large.
browser:
	@t/lib/deps browser
	@$(first_build)
	@$(MAKE) --no-print-directory -s all $(O)/t/fault/clock.so
	@SCIM_BUILD=$(abspath $(O)) SCIM_SAN=$(SAN) PROVE="$(PROVE)" t/lib/check $(if $(filter-out t/guard t/unit t/http t/idp,$(T)),$(T),t/browser)

# Not of "make check": it takes some minutes, and has both processors to itself.
check-cluster:
	@t/lib/deps cluster
	@$(first_build)
	@$(MAKE) --no-print-directory -s all
	@SCIM_BUILD=$(abspath $(O)) SCIM_SAN=$(SAN) PROVE="$(PROVE)" SCIM_JOBS=1 \
	    SCIM_TEST_TIMEOUT=$(if $(LONG),14400,1200) t/lib/check $(if $(filter-out t/guard t/unit t/http t/idp,$(T)),$(T),t/cluster)

screenshots:
	@t/lib/deps browser
	@$(first_build)
	@$(MAKE) --no-print-directory -s all $(O)/t/fault/clock.so
	@SCREENSHOTS=$(abspath $(O)) SCIM_BUILD=$(abspath $(O)) t/lib/check t/browser/status.t

PREFIX ?= /usr/local
SBINDIR ?= $(PREFIX)/sbin
MANDIR ?= $(PREFIX)/share/man
COMPLETIONDIR ?= $(PREFIX)/share/bash-completion/completions
LIBEXECDIR ?= $(shell $(APXS) -q LIBEXECDIR)
INCLUDEDIR ?= $(shell $(APXS) -q INCLUDEDIR)
install: all
	install -D -m 644 $(O)/mod_scim.so $(DESTDIR)$(LIBEXECDIR)/mod_scim.so
	install -D -m 644 $(O)/mod_scim_pgsql.so $(DESTDIR)$(LIBEXECDIR)/mod_scim_pgsql.so
	install -D -m 755 $(O)/scimctl $(DESTDIR)$(SBINDIR)/scimctl
	install -D -m 644 include/mod_scim.h $(DESTDIR)$(INCLUDEDIR)/mod_scim.h
	install -D -m 644 conf/man/scimctl.8 $(DESTDIR)$(MANDIR)/man8/scimctl.8
	install -D -m 644 conf/man/mod_scim.5 $(DESTDIR)$(MANDIR)/man5/mod_scim.5
	install -D -m 644 conf/completion/scimctl $(DESTDIR)$(COMPLETIONDIR)/scimctl

uninstall:
	rm -f $(DESTDIR)$(LIBEXECDIR)/mod_scim.so $(DESTDIR)$(LIBEXECDIR)/mod_scim_pgsql.so \
	    $(DESTDIR)$(SBINDIR)/scimctl $(DESTDIR)$(INCLUDEDIR)/mod_scim.h \
	    $(DESTDIR)$(MANDIR)/man8/scimctl.8 $(DESTDIR)$(MANDIR)/man5/mod_scim.5 $(DESTDIR)$(COMPLETIONDIR)/scimctl

# The packages are built from a tree of their own, in which conf/debian is debian/.
# One release of Debian has other libraries than the next: the version says which.
VERSION = $(shell sed -n 's/^.define SCIM_VERSION "\(.*\)"/\1/p' include/scim/version.h)
DEB_VERSION ?= $(VERSION)$(shell . /etc/os-release && echo "+$$ID$$VERSION_ID")
DEB_DATE = $(shell date -uRd "@$${SOURCE_DATE_EPOCH:-$$(git log -1 --format=%ct 2>/dev/null || stat -c %Y include/scim/version.h)}")
staged = $(O)/deb/libapache2-mod-scim-$(VERSION)
deb:
	@t/lib/deps $(if $(LINTIAN),lintian,deb)
	rm -rf $(O)/deb
	mkdir -p $(staged)/t
	cp -a Makefile README LICENSE conf include mod_scim $(staged)/
	cp -a t/example $(staged)/t/
	mv $(staged)/conf/debian $(staged)/debian
	sed -e 's/@VERSION@/$(DEB_VERSION)/' -e 's/@DATE@/$(DEB_DATE)/' $(staged)/debian/changelog.in > $(staged)/debian/changelog
	rm $(staged)/debian/changelog.in
	cd $(staged) && env -u MAKEFLAGS -u MAKELEVEL -u O -u CC -u CFLAGS -u CPPFLAGS -u LDFLAGS dpkg-buildpackage -us -uc -b
	$(if $(LINTIAN),lintian --fail-on error$(comma)warning $(O)/deb/*.changes)
	@ls $(O)/deb/*.deb

newcomer:
	@O=$(abspath $(O)) t/newcomer/run

SUITE ?= bookworm
platform:
	@O=$(abspath $(O)) SUITE=$(SUITE) CC=$(CC) T="$(T)" t/newcomer/platform

# What scimctl says of itself, and README's reference of directives, as man pages: they
# are kept in the tree, and t/guard/man.t says when they are out of date.
man: $(O)/scimctl
	conf/man/generate $(O)/scimctl

rules:
	@t/guard/rules.t --print

format:
	clang-format -i $(lib_src) $(httpd_src) $(ctl_src) $(unit_src) $(wildcard include/*.h include/scim/*.h mod_scim/*/*.h t/unit/*.h t/example/*.c t/bench/*.[ch] t/fuzz/*.[ch] t/fault/*.[ch] t/gates/*.c)

clean:
	rm -rf build

-include $(wildcard $(O)/mod_scim/*/*.d $(O)/t/unit/*.d $(O)/t/bench/*.d $(O)/t/fuzz/*.d $(O)/t/fault/*.d $(O)/t/gates/*.d $(O)/t/example/*.d)
