/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files of the Apache module share.
 *
 * A request to an endpoint walks: url.c finds the endpoint and the route,
 * once, into the request's state; auth.c finds who asks; io.c reads the body,
 * has the service answer, and sends what it says.  life.c opens and closes
 * the store; config.c holds the directives.
 */
#ifndef MOD_SCIM_H
#define MOD_SCIM_H

#include <stdatomic.h>

#include <httpd.h>
#include <http_config.h>
#include <http_log.h>
#include <ap_expr.h>

#include "scim/role.h"
#include "scim/service.h"
#include "scim/subject.h"
#include "scim/tally.h"
#include "scim/tenant.h"

/* Before the declarations of httpd's macros: it is the one symbol that the
 * module exports. */
extern __attribute__((visibility("default"))) module scim_module;

/* Tags every line that the module logs; numbers are never used again. */
#define SCIMLOG(number) "SCIM" #number ": "

#define SCIM_HANDLER "scim"

/*
 * Configuration.  Each list makes the struct, what a new one holds, the merge
 * of two and the defaults: type, name, the value that means "not set", and
 * the default.
 */
#define SCIM_UNSET (-1)

typedef enum scim_require_tls {
    SCIM_TLS_OFF = 0,
    SCIM_TLS_ON = 1,
    SCIM_TLS_EXPR = 2
} scim_require_tls;

/* Of a server. */
#define SCIM_SERVER_CONFIG(X)                                                \
    X(const char *, audit_log, NULL, NULL)                                   \
    X(const char *, store_url, NULL, NULL)                                   \
    X(const ap_directive_t *, store_at, NULL, NULL)                          \
    X(apr_int64_t, store_size, SCIM_UNSET, 0)                                \
    X(apr_int64_t, store_connections, SCIM_UNSET, 16)                        \
    X(apr_interval_time_t, write_timeout, SCIM_UNSET, apr_time_from_sec(10)) \
    X(apr_int64_t, scan_limit, SCIM_UNSET, 1000000)                          \
    X(int, read_only, SCIM_UNSET, 0)                                         \
    X(ap_expr_info_t *, tenant, NULL, NULL)                                  \
    X(const char *, tenant_text, NULL, NULL) /* as it stands in the configuration */

/* Of a tenant's policy: at server level, or in <SCIMTenantPolicy>. */
#define SCIM_POLICY_CONFIG(X)                                \
    X(int, unique_group_names, SCIM_UNSET, 1)                \
    X(int, dangling_references, SCIM_UNSET, 0)               \
    X(int, password_sync, SCIM_UNSET, 0)                     \
    X(int, custom_groups, SCIM_UNSET, SCIM_CUSTOM_ACCEPT)    \
    X(int, on_group_delete, SCIM_UNSET, SCIM_ON_DELETE_KEEP) \
    X(apr_int64_t, delete_limit, SCIM_UNSET, 0)              \
    X(apr_array_header_t *, roles, NULL, NULL) /* of scim_role_pattern */

/* Of a Location. */
#define SCIM_DIR_CONFIG(X)                                                      \
    X(int, engine, SCIM_UNSET, 0)                                               \
    X(const char *, base, NULL, NULL)                                           \
    X(ap_expr_info_t *, base_path, NULL, NULL)                                  \
    X(const char *, base_path_text, NULL, NULL)                                 \
    X(const char *, base_url, NULL, NULL)                                       \
    X(ap_expr_info_t *, tenant, NULL, NULL)                                     \
    X(const char *, tenant_text, NULL, NULL)                                    \
    X(int, lenient, SCIM_UNSET, 1)                                              \
    X(int, group_representation, SCIM_UNSET, 0)                                 \
    X(apr_int64_t, default_page, SCIM_UNSET, 100)                               \
    X(apr_int64_t, max_page, SCIM_UNSET, 1000)                                  \
    X(apr_interval_time_t, cursor_timeout, SCIM_UNSET, apr_time_from_sec(3600)) \
    X(apr_int64_t, max_body, SCIM_UNSET, 8 * 1024 * 1024)                       \
    X(apr_int64_t, bulk_operations, SCIM_UNSET, 500)                            \
    X(apr_int64_t, bulk_bytes, SCIM_UNSET, 4 * 1024 * 1024)                     \
    X(int, require_if_match, SCIM_UNSET, 0)                                     \
    X(int, require_tls, SCIM_UNSET, SCIM_TLS_ON)                                \
    X(ap_expr_info_t *, require_tls_expr, NULL, NULL)                           \
    X(const char *, require_tls_text, NULL, NULL)                               \
    X(ap_expr_info_t *, connection, NULL, NULL)                                 \
    X(const char *, connection_text, NULL, NULL)                                \
    X(int, connection_fixed, SCIM_UNSET, 0) /* it looks at no request */        \
    X(int, connection_scopes, SCIM_UNSET, SCIM_SCOPE_READ | SCIM_SCOPE_WRITE)   \
    X(apr_interval_time_t, rate_interval, SCIM_UNSET, 0)                        \
    X(apr_int64_t, rate_burst, SCIM_UNSET, 0)                                   \
    X(int, user_attribute, SCIM_UNSET, SCIM_BY_USER_NAME)                       \
    X(int, export, SCIM_UNSET, 0)

#define SCIM_MEMBER(type, name, unset, otherwise) type name;

typedef struct scim_policy_config {
    SCIM_POLICY_CONFIG(SCIM_MEMBER)
} scim_policy_config;

typedef struct scim_tenant_policy {
    const char *name;
    const char *file;
    int line;
    const server_rec *server; /* that the section stands in */
    scim_policy_config policy;
} scim_tenant_policy;

typedef struct scim_dir_config {
    SCIM_DIR_CONFIG(SCIM_MEMBER)
} scim_dir_config;

/* An endpoint as the configuration names it, for checks and for requests that
 * httpd refuses before it looks at any Location. */
typedef struct scim_endpoint {
    const char *base;    /* NULL: a LocationMatch */
    ap_regex_t *pattern; /* its pattern then */
    const char *file;
    int line;
    const ap_directive_t *section;
    const scim_dir_config *conf; /* of the section, which may switch it off again */
} scim_endpoint;

/* A line of the configuration, for a check that has to wait until all of it
 * is read. */
typedef struct scim_line {
    const char *what; /* "Require scim-group"; what SCIMTenant says */
    const char *file;
    int line;
    const ap_directive_t *at;
} scim_line;

typedef struct scim_audit scim_audit; /* an open audit log: audit.c */

typedef struct scim_server_config {
    SCIM_SERVER_CONFIG(SCIM_MEMBER)
    scim_policy_config policy;
    /* not configured by one value each: */
    apr_array_header_t *tenant_policies; /* of scim_tenant_policy; the main server's */
    apr_array_header_t *documents;       /* of scim_document; the main server's */
    apr_array_header_t *endpoints;       /* of scim_endpoint */
    apr_array_header_t *consumers;       /* of scim_line: what asks the store who somebody is */
    apr_array_header_t *tenants;         /* of scim_line: each SCIMTenant */
    /* not configured: the <SCIMTenantPolicy> that is being read, whether
     * opening the store killed a process, whether the start could not write what
     * it writes into the store, what it saw there, and what a child process has from
     * child_init on, read-only then */
    scim_policy_config *section;
    bool deadly;
    atomic_bool *unprepared;           /* shared by all children; NULL: it was written */
    apr_array_header_t *known_tenants; /* names (const char *), as the start has seen them in a
                                          store that is elsewhere; NULL: it has not */
    scim_audit *audit;                 /* from open_logs on; NULL: nobody asked for one */
    const scim_registry *registry;
    struct scim_share *share; /* NULL: no store, or one that no process is to open */
} scim_server_config;

scim_server_config *mod_scim_server(const server_rec *s);

/* A Location's configuration, and the same with defaults in place of what is not
 * set. */
const scim_dir_config *mod_scim_section(const request_rec *r);
scim_dir_config mod_scim_endpoint(const request_rec *r);
/* A server's, likewise. */
scim_server_config mod_scim_resolved(const server_rec *s);

void *mod_scim_create_server(apr_pool_t *pool, server_rec *s);
void *mod_scim_merge_server(apr_pool_t *pool, void *base, void *add);
void *mod_scim_create_dir(apr_pool_t *pool, char *dir);
void *mod_scim_merge_dir(apr_pool_t *pool, void *base, void *add);
extern const command_rec mod_scim_commands[];
/* Has check_config see that what a directive asks of a store can be asked.
 * Does nothing for an .htaccess, which is read when requests are served. */
void mod_scim_add_consumer(cmd_parms *cmd, const char *what);

/*
 * The state of a request to an endpoint, in its request_config.
 */
typedef struct scim_state {
    scim_dir_config conf;
    const char *base; /* path of the endpoint, no slash at its end */
    scim_target target;
    scim_method method;
    const scim_identity *identity; /* who asks, once auth.c knows */
    bool answered;                 /* the reply is ours, errors included */
    bool counted;                  /* by SCIMRateLimit */
    scim_tally_reason refused;     /* why, where nobody knows who asks */
    apr_time_t began;              /* with the answer, once the body is there; 0: never */
    apr_interval_time_t took;      /* until the answer went out */
    const char *subject;           /* as scim_reply has it */
} scim_state;

/* NULL where the request is to no endpoint. */
scim_state *mod_scim_state(const request_rec *r);

/* url.c */
int mod_scim_pre_translate_name(request_rec *r);
int mod_scim_translate_name(request_rec *r);
int mod_scim_map_to_storage(request_rec *r);
int mod_scim_type_checker(request_rec *r);
/* Whether a path is below an endpoint of the server, whatever else the
 * configuration says of it. */
bool mod_scim_names_endpoint(const server_rec *s, const char *path);
/* The endpoint's URL: SCIMBaseURL, or the server's canonical name and the
 * base.  Never the Host header. */
const char *mod_scim_base_url(const request_rec *r, const scim_state *state);
/* "https://host:port", an IPv6 address in brackets; port 0: the scheme's own. */
const char *mod_scim_origin(const char *scheme, const char *host, apr_port_t port,
                            apr_pool_t *pool);

/* auth.c */
bool mod_scim_is_loopback(const apr_sockaddr_t *peer);
/* Whether a proxy says of itself that it speaks for somebody else. */
bool mod_scim_by_proxy(const request_rec *r);
int mod_scim_check_transport(request_rec *r);
/* Whether the request came as SCIMRequireTLS wants it. */
bool mod_scim_transport_allowed(request_rec *r, const scim_dir_config *conf);
int mod_scim_access_checker_ex(request_rec *r);
int mod_scim_force_authn(request_rec *r);
int mod_scim_check_authn(request_rec *r);
/* After all who authenticate: reached where none of them does. */
int mod_scim_nobody_asks(request_rec *r);
/* The tenant that SCIMTenant names where the request is; "default" where it
 * stands nowhere, "" where it fails. */
const char *mod_scim_tenant(request_rec *r);
/* The same; NULL where it stands nowhere. */
const char *mod_scim_pinned_tenant(request_rec *r);
int mod_scim_note_auth_failure(request_rec *r, const char *auth_type);
/* The value of WWW-Authenticate; error may be NULL. */
const char *mod_scim_challenge(request_rec *r, const char *error);
/* 503: the store is down. */
const scim_error *mod_scim_no_store(const request_rec *r);
/* Makes the one who was found the request's identity, unless its tenant or its
 * rate forbids: the error then.  who is what SCIMRateLimit counts by. */
const scim_error *mod_scim_admit(request_rec *r, scim_state *state,
                                 const scim_identity *identity, const char *who);

/* connection.c */
/* Whether AuthType names somebody else to ask, whose user is mapped later. */
bool mod_scim_asks_otherwise(request_rec *r);
/* In the authentication phase: the request itself is mapped to a connection.
 * OK, DONE where it was refused, DECLINED where it is nobody's. */
int mod_scim_map_request(request_rec *r, scim_state *state);
/* After it: the user whom another authentication found is.  An error where it
 * may not ask; NULL may leave it without an identity. */
const scim_error *mod_scim_map_user(request_rec *r, scim_state *state);

/* limit.c */
bool mod_scim_has_endpoints(const server_rec *s);
/* In post_config. */
int mod_scim_make_rates(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);

/* True once a minute for the same text, of all processes together: for lines of
 * the log that a lasting state would repeat with every request. */
bool mod_scim_seldom(const char *what);
/* True the first time in so long for the same text, likewise. */
bool mod_scim_once(const char *what, apr_interval_time_t within);
/* Counts a request of who, a token or what else tells one client from others,
 * once: NULL, or 429 where it is one too many. */
const scim_error *mod_scim_count(request_rec *r, scim_state *state, const char *who);

/* recent.c */
struct scim_who;
/* What was found of an active user, for the other requests of the same page: it is
 * known again as long as the state of the store is that of the view in which it was
 * found, so that nothing that an identity provider changes takes effect any later. */
void mod_scim_remember(const struct scim_who *who, scim_view *view);
/* Whether it is: tenant and subject are set then, in view->pool. */
bool mod_scim_recall(struct scim_who *who, scim_view *view);

/* who.c */
/* Who a text is in a tenant: all of it read in one view. */
typedef struct scim_who {
    const char *text;
    const char *tenant_name;
    scim_subject_by by;
    const scim_error *error; /* the store cannot be read; what follows is empty */
    bool no_tenant;          /* there is no tenant of that name; nor is there a subject */
    apr_uint32_t tenant;     /* its number */
    scim_subject subject;
    const scim_subject_details *details; /* of ACTIVE and INACTIVE, where they were read */
    struct scim_who *next;               /* that the same request asked about */
} scim_who;

/* Asks the store, by the SCIMUserAttribute and the SCIMTenant of where the
 * request is, with the user's details or without them.  In r->pool. */
const scim_who *mod_scim_find(request_rec *r, const char *text, bool details);
/* Who r->user is, which is not NULL: asked once for a request, its internal
 * redirects and subrequests, so that all that is decided about it is decided
 * by one state of the store.  Says in the error log why it is nobody. */
scim_who *mod_scim_who(request_rec *r);
/* The details of one who is ACTIVE or INACTIVE, which who keeps from then on;
 * NULL where the user is gone since, or the store cannot be read, which the
 * error log says then. */
const scim_subject_details *mod_scim_details(request_rec *r, scim_who *who);
/* As SCIMUserAttribute has it: "emails.value". */
const char *mod_scim_attribute_name(scim_subject_by by);

/* authz.c */
void mod_scim_register_authz(apr_pool_t *pool);

/* basic.c */
void mod_scim_register_basic(apr_pool_t *pool);

/* export.c */
int mod_scim_export(request_rec *r);

/* public.c */
void mod_scim_register_public(void);

/* io.c */
int mod_scim_handler(request_rec *r);
void mod_scim_insert_error_filter(request_rec *r);
void mod_scim_register_filter(void);
/* Sends the error as the request's whole answer, before any handler; returns
 * DONE. */
int mod_scim_refuse(request_rec *r, const scim_error *error);

/* wipe.c */
void mod_scim_register_wipe(void);
/* Overwrites a text, which is in a pool's memory, when the pool goes. */
void mod_scim_wipe_later(const char *text, apr_pool_t *pool);
/* Whoever reads the body of the request has it in memory that is wiped. */
void mod_scim_wipe_body(request_rec *r);

/* page.c: pages for people. */

/* A page as it is written; in r->pool. */
typedef struct mod_scim_page mod_scim_page;

/* Begins a page of HTML, with its headers: nothing of it is kept by anybody, and by its
 * policy it has no script, nothing from elsewhere, and stands in no frame of others.  title
 * is plain text. refresh: after so many seconds it is asked for again; 0: never. */
mod_scim_page *mod_scim_page_begin(request_rec *r, const char *title, int refresh);
/* Adds markup, which is the page's own. */
void mod_scim_page_put(mod_scim_page *page, const char *markup);
/* Adds markup by a format of which %s and the like get only what has no markup in it: numbers,
 * words of ours. */
void mod_scim_page_putf(mod_scim_page *page, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Adds text from anywhere: escaped, for elements and for attributes in double quotes, and
 * what steers a terminal or the direction of writing is shown as its code. */
void mod_scim_page_text(mod_scim_page *page, const char *text);
/* Adds a text of letters, digits and "_" that is in memory of r->pool which is wiped: it goes
 * out from there, and is copied nowhere. */
void mod_scim_page_secret(mod_scim_page *page, const char *text);
/* Sends it, with the status that r->status has; returns OK. */
int mod_scim_page_end(mod_scim_page *page);

/* connections.c */
#define SCIM_CONNECTIONS_HANDLER "scim-connections"
/* Whether SetHandler names it where the request is. */
bool mod_scim_is_connections(request_rec *r);
/* For such a request, before its handler: refuses what SCIMRequireTLS does. */
int mod_scim_connections_transport(request_rec *r);
/* Likewise: refuses, since nobody authenticates here. */
int mod_scim_connections_nobody(request_rec *r);
int mod_scim_connections_handler(request_rec *r);

/* endpoint.c */
/* What the configuration comes to at an endpoint, all sections of it together but for <If>. */
typedef struct scim_effective {
    const scim_dir_config *set; /* what is not set is not */
    scim_dir_config conf;       /* with the defaults */
    const char *auth_type;      /* NULL: none */
    bool required;              /* there is a Require that asks for anybody */
    apr_off_t body_limit;       /* LimitRequestBody; 0: none */
} scim_effective;

scim_effective mod_scim_effective(const server_rec *s, const scim_endpoint *endpoint,
                                  apr_pool_t *pool);
/* Whether it has "SSLEngine on". */
bool mod_scim_speaks_tls(const server_rec *s);
/* Whether others than this machine may connect to it. */
bool mod_scim_serves_others(const server_rec *s);

/* served.c */
/* The endpoints of s and the servers behind it that serve a store, as
 * scim/endpoints.h has them. */
const char *mod_scim_endpoints(const server_rec *s, const char *store_url, apr_pool_t *pool);
/* The Tenant URL of one, with {tenant} in it where each tenant has its own; NULL where only a
 * request tells it. */
const char *mod_scim_tenant_url(const server_rec *s, const scim_endpoint *endpoint,
                                apr_pool_t *pool);

/* dump.c */
/* For "httpd -t -D DUMP_SCIM". */
void mod_scim_dump(apr_pool_t *pconf, server_rec *s);

/* audit.c */
int mod_scim_open_logs(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
/* Tells of what the reply's call committed: in the audit log, then to the
 * modules that hooked it. */
void mod_scim_audit(request_rec *r, const scim_state *state, const scim_reply *reply,
                    apr_pool_t *scratch_pool);
/* Tells the audit log of an administrator's act that is done: op is "token.create"; hint, the
 * last four characters of a token, may be NULL. */
void mod_scim_audit_act(request_rec *r, const char *op, const char *tenant,
                        const char *connection, const char *hint);

/* policy.c */
/* What the policy of a tenant is to be, by its name; NULL for tenants to come.  baton is the
 * scim_server_config: a scim_policy_fn. */
scim_policy mod_scim_policy(const char *name, void *baton, apr_pool_t *pool);

/* process.c */
/* NULL, with what is to be told in *told; or why it failed. */
typedef const char *mod_scim_task(const char **told, void *baton, apr_pool_t *pool);
/* Runs a task as the user of the children, in a process of its own, which is killed after so
 * many seconds; 0: it has all time.  As the task, whose result comes through a pipe; *status
 * is as waitpid has it. */
const char *mod_scim_in_process(const char **told, int *status, mod_scim_task *task,
                                void *baton, unsigned int seconds, apr_pool_t *pool);

/* check.c */
int mod_scim_check_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                          server_rec *s);

/* warn.c */
/* Tells of what the servers' configuration very probably does not do as it was meant. */
void mod_scim_warn(server_rec *first, apr_pool_t *ptemp);
int mod_scim_warn_at_start(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp,
                           server_rec *s);

/* life.c */
/* Of the built-in schemas and the organisation's; the same for all servers. */
const scim_error *mod_scim_registry(const scim_registry **out, const scim_server_config *conf,
                                    apr_pool_t *pool);
int mod_scim_post_config(apr_pool_t *pconf, apr_pool_t *plog, apr_pool_t *ptemp, server_rec *s);
/* How a store is opened by a server's resolved configuration. */
scim_store_options mod_scim_store_options(const scim_server_config *conf, bool create);
/* Writes into the open store what a start writes: policies and endpoints of s and the servers
 * behind it.  *told: what is to be told of it, for mod_scim_tell_prepared. */
const scim_error *mod_scim_prepare(const char **told, const server_rec *s, scim_store *store,
                                   scim_server_config *conf, apr_pool_t *pool);
void mod_scim_tell_prepared(server_rec *s, const char *url, const char *told, apr_pool_t *pool);

/* engine.c */
/* Before the configuration is used: makes the engine of a store's url known to this process,
 * where a module offers one.  NULL, or why nothing can be opened; in pconf. */
const char *mod_scim_find_engine(const char *url, apr_pool_t *pconf);

/* share.c */
void mod_scim_child_init(apr_pool_t *pchild, server_rec *s);
/* In a child: the server's store; NULL: there is none, or it is down.  One that is elsewhere
 * and could not be opened is tried again, once a second at most. */
scim_store *mod_scim_store(const server_rec *s);

#endif
