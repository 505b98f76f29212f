/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Loads an LDAP server: ldap URL KIND CLIENTS SECONDS USERS.
 *
 * CLIENTS threads, each with a connection of its own, bound as
 * cn=admin,dc=bench, do one thing after the other: "add" new entries, "modify"
 * the title or "read" one of the entries uid=u0,dc=bench to uid=u<USERS - 1>,
 * until SECONDS are over.  Prints how many there were a second.
 */
#include <ldap.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *url;
static long users;
static double end;
static atomic_long done;

typedef int (*operation)(LDAP *ldap, unsigned *seed, long n);

static double now(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int err, const char *what)
{
    if (err) {
        fprintf(stderr, "ldap: %s: %s\n", what, ldap_err2string(err));
        exit(1);
    }
}

static void any_user(char *dn, size_t size, unsigned *seed)
{
    snprintf(dn, size, "uid=u%ld,dc=bench", (long)rand_r(seed) % users);
}

static int read_user(LDAP *ldap, unsigned *seed, long n)
{
    LDAPMessage *found = NULL;
    char dn[64];
    int err;

    any_user(dn, sizeof(dn), seed);
    err = ldap_search_ext_s(ldap, dn, LDAP_SCOPE_BASE, "(objectClass=*)", NULL, 0, NULL, NULL,
                            NULL, 0, &found);
    ldap_msgfree(found);
    return err;
}

static int modify_user(LDAP *ldap, unsigned *seed, long n)
{
    char dn[64], title[32], *values[] = {title, NULL};
    LDAPMod mod = {LDAP_MOD_REPLACE, "title", {values}}, *mods[] = {&mod, NULL};

    any_user(dn, sizeof(dn), seed);
    snprintf(title, sizeof(title), "Engineer %ld", n);
    return ldap_modify_ext_s(ldap, dn, mods, NULL, NULL);
}

#define ATTRIBUTE(name, ...)      \
    {                             \
        LDAP_MOD_ADD, name,       \
        {                         \
            (char *[])            \
            {                     \
                __VA_ARGS__, NULL \
            }                     \
        }                         \
    }

/* As large as the users of fill.c, and with as many indexes. */
static int add_user(LDAP *ldap, unsigned *seed, long n)
{
    char dn[96], uid[64], work[96], home[96], number[96];
    LDAPMod mods[] = {
        ATTRIBUTE("objectClass", "inetOrgPerson"),
        ATTRIBUTE("uid", uid),
        ATTRIBUTE("cn", "Dmitri Martin"),
        ATTRIBUTE("sn", "Martin"),
        ATTRIBUTE("givenName", "Dmitri"),
        ATTRIBUTE("displayName", "Dmitri Martin"),
        ATTRIBUTE("title", "Engineer"),
        ATTRIBUTE("employeeType", "Employee"),
        ATTRIBUTE("preferredLanguage", "en-US"),
        ATTRIBUTE("mail", work, home),
        ATTRIBUTE("telephoneNumber", "+1 555 0100"),
        ATTRIBUTE("street", "100 Universal City Plaza"),
        ATTRIBUTE("l", "Hollywood"),
        ATTRIBUTE("st", "CA"),
        ATTRIBUTE("postalCode", "91608"),
        ATTRIBUTE("employeeNumber", number),
        ATTRIBUTE("departmentNumber", "Tour Operations"),
    };
    LDAPMod *list[sizeof(mods) / sizeof(mods[0]) + 1] = {NULL};
    size_t i;

    for (i = 0; i < sizeof(mods) / sizeof(mods[0]); i++) {
        list[i] = &mods[i];
    }
    snprintf(uid, sizeof(uid), "u%ld.%ld.%ld", (long)rand_r(seed) % users, (long)*seed, n);
    snprintf(dn, sizeof(dn), "uid=%s,dc=bench", uid);
    snprintf(work, sizeof(work), "%s@mail.example.com", uid);
    snprintf(home, sizeof(home), "%s@home.example.com", uid);
    snprintf(number, sizeof(number), "ext-%s", uid);
    return ldap_add_ext_s(ldap, dn, list, NULL, NULL);
}

static const struct {
    const char *name;
    operation run;
} kinds[] = {{"add", add_user}, {"modify", modify_user}, {"read", read_user}};

static operation chosen;

static LDAP *connect_ldap(void)
{
    struct berval password = {6, "secret"};
    int version = LDAP_VERSION3;
    LDAP *ldap;

    must(ldap_initialize(&ldap, url), url);
    must(ldap_set_option(ldap, LDAP_OPT_PROTOCOL_VERSION, &version), "version");
    must(ldap_sasl_bind_s(ldap, "cn=admin,dc=bench", LDAP_SASL_SIMPLE, &password, NULL, NULL,
                          NULL),
         "bind");
    return ldap;
}

static void *work(void *baton)
{
    unsigned seed = (unsigned)time(NULL) * 1000 + (unsigned)(size_t)baton;
    LDAP *ldap = connect_ldap();
    long n;

    for (n = 0; now() < end; n++) {
        must(chosen(ldap, &seed, n), "operation");
    }
    atomic_fetch_add(&done, n);
    ldap_unbind_ext_s(ldap, NULL, NULL);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[256];
    double start;
    long clients, i;

    for (i = 0; argc == 6 && i < 3; i++) {
        if (!strcmp(argv[2], kinds[i].name)) {
            chosen = kinds[i].run;
        }
    }
    if (!chosen || (clients = atol(argv[3])) < 1 || clients > 256) {
        fprintf(stderr, "usage: ldap URL add|modify|read CLIENTS SECONDS USERS\n");
        return 2;
    }
    url = argv[1];
    users = atol(argv[5]);
    ldap_unbind_ext_s(connect_ldap(), NULL, NULL); /* sets the library up, in one thread */
    start = now();
    end = start + atof(argv[4]);
    for (i = 0; i < clients; i++) {
        if (pthread_create(&threads[i], NULL, work, (void *)(size_t)i)) {
            perror("pthread_create");
            return 1;
        }
    }
    for (i = 0; i < clients; i++) {
        pthread_join(threads[i], NULL);
    }
    printf("%.1f\n", (double)done / (now() - start));
    return 0;
}
