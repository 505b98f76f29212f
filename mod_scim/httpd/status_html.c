/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The status as a page for people.
 */
#include "status.h"

#include "scim/time.h"

/* Small pieces */

static void put_text(mod_scim_page *page, const char *before, const char *text,
                     const char *after)
{
    mod_scim_page_put(page, before);
    mod_scim_page_text(page, text);
    mod_scim_page_put(page, after);
}

static void put_number(mod_scim_page *page, const char *name, apr_uint64_t number)
{
    mod_scim_page_putf(page, "<dt>%s</dt><dd>%" APR_UINT64_T_FMT "</dd>\n", name, number);
}

/* "2026-11-22 11:32:05 UTC" */
static void put_moment(mod_scim_page *page, apr_time_t time)
{
    char text[SCIM_TIME_LEN + 1];

    scim_time_format(time, text);
    mod_scim_page_putf(page, "<time datetime=\"%s\">%.10s %.8s UTC</time>", text, text,
                       text + 11);
}

static void put_ago(mod_scim_page *page, const scim_status *status, apr_time_t time)
{
    char text[SCIM_TIME_LEN + 1];

    if (!time) {
        mod_scim_page_put(page, "<span class=\"quiet\">never</span>");
        return;
    }
    scim_time_format(time, text);
    if (status->now - time < apr_time_from_sec(1)) {
        mod_scim_page_putf(page, "<time datetime=\"%s\">just now</time>", text);
    } else {
        mod_scim_page_putf(page, "<time datetime=\"%s\">%s ago</time>", text,
                           mod_scim_status_span(status->now - time, status->r->pool));
    }
}

static void put_size(mod_scim_page *page, const char *name, apr_uint64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double size = (double)bytes;
    int unit = 0;

    while (size >= 1024 && unit < 4) {
        size /= 1024;
        unit++;
    }
    mod_scim_page_putf(page, "<dt>%s</dt><dd>%.*f %s</dd>\n", name, unit && size < 100 ? 1 : 0,
                       size, units[unit]);
}

/* One word and a sign, so that nothing depends on colour. */
static void put_health(mod_scim_page *page, status_level level, const char *word)
{
    static const char *const signs[] = {"&#10003;", "&#8211;", "!", "&#10007;"};

    mod_scim_page_putf(page,
                       "<strong class=\"%s\"><span aria-hidden=\"true\">%s</span> %s</strong>",
                       mod_scim_level_word(level), signs[level], word);
}

/* Problems */

static void put_problems(mod_scim_page *page, const scim_status *status)
{
    int i;

    mod_scim_page_put(page, "<section aria-labelledby=\"attention\">\n<h2 id=\"attention\">"
                            "What needs attention</h2>\n");
    if (!status->problems->nelts) {
        mod_scim_page_put(page, "<p class=\"box\">");
        put_health(page, STATUS_GOOD, "Nothing.");
        mod_scim_page_put(page, "</p>\n</section>\n");
        return;
    }
    mod_scim_page_put(page, "<ul class=\"box problems\">\n");
    for (i = 0; i < status->problems->nelts; i++) {
        const status_problem *one = &APR_ARRAY_IDX(status->problems, i, status_problem);

        mod_scim_page_put(page, "<li>");
        put_health(page, one->level, one->level == STATUS_BAD ? "Wrong:" : "Look:");
        put_text(page, " ", one->what, "");
        if (one->remedy && *one->remedy) {
            put_text(page, " <span class=\"quiet\">", one->remedy, "</span>");
        }
        mod_scim_page_put(page, "</li>\n");
    }
    mod_scim_page_put(page, "</ul>\n</section>\n");
}

/* Connections */

static void put_error(mod_scim_page *page, const scim_status *status,
                      const scim_tally_error *error)
{
    const char *remedy = mod_scim_status_remedy(error);

    if (!error->time) {
        mod_scim_page_put(page, "<span class=\"quiet\">none</span>");
        return;
    }
    mod_scim_page_putf(page, "<strong>%d</strong> ", error->status);
    put_text(page, "<code>", error->op, "</code> ");
    put_ago(page, status, error->time);
    if (*error->id) {
        put_text(page, "<br><code>", error->id, "</code>");
    }
    put_text(page, "<br>", error->detail, "");
    if (*remedy) {
        put_text(page, "<br><span class=\"quiet\">", remedy, "</span>");
    }
}

static void put_token(mod_scim_page *page, const scim_status *status, const status_token *token)
{
    const scim_identity *identity = token->identity;
    apr_interval_time_t left = identity->expires - status->now;
    const char *ends = "has no end";

    if (identity->expires) {
        ends = left <= 0 ? "has expired"
                         : apr_pstrcat(status->r->pool, "ends in ",
                                       mod_scim_status_span(left, status->r->pool), NULL);
    }
    put_text(page, "<li><code>&#8230;", identity->hint, "</code> ");
    if (token->nears_end) {
        put_health(page, token->nears_end > 1 ? STATUS_WARN : STATUS_BAD, ends);
    } else {
        mod_scim_page_put(page, ends);
    }
    mod_scim_page_put(page, "</li>");
}

static void put_tokens(mod_scim_page *page, const scim_status *status,
                       const apr_array_header_t *tokens)
{
    int i;

    if (!tokens->nelts) {
        mod_scim_page_put(page, "<span class=\"quiet\">none</span>");
        return;
    }
    mod_scim_page_put(page, "<ul class=\"plain\">");
    for (i = 0; i < tokens->nelts; i++) {
        put_token(page, status, &APR_ARRAY_IDX(tokens, i, status_token));
    }
    mod_scim_page_put(page, "</ul>");
}

static void put_name(mod_scim_page *page, const char *tenant, const char *connection)
{
    put_text(page, "<th scope=\"row\">", connection, "");
    if (*tenant) {
        put_text(page, " <span class=\"quiet\">of ", tenant, "</span>");
    }
    mod_scim_page_put(page, "</th>");
}

static void put_seen(mod_scim_page *page, const scim_status *status,
                     const scim_tally_connection *seen)
{
    if (!seen) {
        mod_scim_page_put(
            page, "<td data-label=\"Last request\"><span class=\"quiet\">never"
                  "</span></td><td data-label=\"Last success\"><span "
                  "class=\"quiet\">never</span></td><td data-label=\"Requests\" "
                  "class=\"number\">0</td><td data-label=\"Last error\" class=\"text\"><span "
                  "class=\"quiet\">none</span></td>");
        return;
    }
    mod_scim_page_put(page, "<td data-label=\"Last request\">");
    put_ago(page, status, seen->last);
    if (seen->agent != SCIM_AGENT_UNKNOWN) {
        mod_scim_page_putf(page, "<br><span class=\"quiet\">%s</span>",
                           scim_tally_agent_name(seen->agent));
    }
    mod_scim_page_put(page, "</td><td data-label=\"Last success\">");
    put_ago(page, status, seen->success);
    mod_scim_page_putf(page,
                       "</td><td data-label=\"Requests\" class=\"number\">%" APR_UINT64_T_FMT
                       "</td><td data-label=\"Last error\" class=\"text\">",
                       seen->requests);
    put_error(page, status, &seen->error);
    mod_scim_page_put(page, "</td>");
}

static void put_connections(mod_scim_page *page, const scim_status *status)
{
    int i;

    mod_scim_page_put(page, "<section aria-labelledby=\"connections\">\n<h2 id=\"connections\">"
                            "Connections</h2>\n");
    if (!status->connections->nelts) {
        mod_scim_page_put(page,
                          "<p>There is none yet: scimctl token create.</p>\n</section>\n");
        return;
    }
    mod_scim_page_put(
        page, "<table class=\"wide\">\n<caption>Identity providers, and how they fare"
              "</caption>\n<thead><tr><th scope=\"col\">Connection</th><th scope=\"col\">"
              "Health</th><th scope=\"col\">Last request</th><th scope=\"col\">Last success"
              "</th><th scope=\"col\" class=\"number\">Requests</th><th scope=\"col\">Last "
              "error</th><th scope=\"col\">Tokens</th></tr></thead>\n<tbody>\n");
    for (i = 0; i < status->connections->nelts; i++) {
        const status_connection *one =
            &APR_ARRAY_IDX(status->connections, i, status_connection);

        mod_scim_page_put(page, "<tr>");
        put_name(page, one->tenant, one->connection);
        mod_scim_page_put(page, "<td data-label=\"Health\">");
        put_health(page, one->level, one->health);
        mod_scim_page_put(page, "</td>");
        put_seen(page, status, one->seen);
        mod_scim_page_put(page, "<td data-label=\"Tokens\">");
        put_tokens(page, status, one->tokens);
        mod_scim_page_put(page, "</td></tr>\n");
    }
    mod_scim_page_put(page, "</tbody>\n</table>\n</section>\n");
}

/* Objects */

static void put_object(mod_scim_page *page, const scim_status *status,
                       const scim_tally_object *one)
{
    mod_scim_page_put(page, "<tr>");
    put_text(page, "<th scope=\"row\"><code>", *one->error.id ? one->error.id : one->error.op,
             "</code>");
    if (*one->error.id) {
        put_text(page, "<br><code>", one->error.op, "</code>");
    }
    put_text(page, "</th><td data-label=\"Connection\">", one->connection, "");
    put_text(page, " <span class=\"quiet\">of ", one->tenant, "</span></td>");
    mod_scim_page_put(page, "<td data-label=\"Since\">");
    put_ago(page, status, one->first);
    mod_scim_page_putf(page,
                       "</td><td data-label=\"Tries\" class=\"number\">%" APR_UINT64_T_FMT
                       "</td><td data-label=\"Last error\" class=\"text\"><strong>%d</strong> ",
                       one->tries, one->error.status);
    put_ago(page, status, one->error.time);
    put_text(page, "<br>", one->error.detail, "</td></tr>\n");
}

static void put_pager(mod_scim_page *page, const scim_status *status, int refresh)
{
    const char *keep = refresh ? "" : "&amp;refresh=0";

    if (status->pages < 2) {
        return;
    }
    mod_scim_page_put(page, "<nav aria-label=\"Pages of failing objects\"><p>");
    if (status->page > 1) {
        mod_scim_page_putf(
            page, "<a rel=\"prev\" href=\"?page=%" APR_SIZE_T_FMT "%s#objects\">Newer</a> ",
            status->page - 1, keep);
    }
    mod_scim_page_putf(page, "Page %" APR_SIZE_T_FMT " of %" APR_SIZE_T_FMT, status->page,
                       status->pages);
    if (status->page < status->pages) {
        mod_scim_page_putf(
            page, " <a rel=\"next\" href=\"?page=%" APR_SIZE_T_FMT "%s#objects\">Older</a>",
            status->page + 1, keep);
    }
    mod_scim_page_put(page, "</p></nav>\n");
}

static void put_objects(mod_scim_page *page, const scim_status *status, int refresh)
{
    int i;

    mod_scim_page_put(page, "<section aria-labelledby=\"objects\">\n<h2 id=\"objects\">Objects "
                            "that fail</h2>\n");
    if (!status->failing) {
        mod_scim_page_put(page, "<p>None.</p>\n</section>\n");
        return;
    }
    mod_scim_page_putf(
        page,
        "<table class=\"wide\">\n<caption>%" APR_SIZE_T_FMT
        " that could not be changed as their connection wanted, the latest first; one goes "
        "from "
        "here when it succeeds, or was not tried for a week</caption>\n<thead><tr><th "
        "scope=\"col\">Object</th><th scope=\"col\">Connection</th><th scope=\"col\">Since</th>"
        "<th scope=\"col\" class=\"number\">Tries</th><th scope=\"col\">Last error</th></tr>"
        "</thead>\n<tbody>\n",
        status->failing);
    for (i = 0; i < status->objects->nelts; i++) {
        put_object(page, status, &APR_ARRAY_IDX(status->objects, i, scim_tally_object));
    }
    mod_scim_page_put(page, "</tbody>\n</table>\n");
    put_pager(page, status, refresh);
    mod_scim_page_put(page, "</section>\n");
}

/* Tenants */

static void put_users(mod_scim_page *page, const status_tenant *one)
{
    bool all = one->looked == one->users;

    mod_scim_page_putf(page,
                       "<td data-label=\"Users\" class=\"number\">%" APR_INT64_T_FMT
                       "</td><td data-label=\"Inactive\" class=\"number\">%s%" APR_INT64_T_FMT
                       "</td>",
                       one->users, all ? "" : "at least ", one->inactive);
}

static void put_state(mod_scim_page *page, const status_tenant *one)
{
    mod_scim_page_put(page, "<td data-label=\"State\">");
    if (one->tenant.deleting) {
        put_health(page, STATUS_WARN, "being deleted");
    } else if (one->tenant.suspended) {
        put_health(page, STATUS_WARN, "suspended");
    } else if (one->brake.on) {
        put_health(page, STATUS_BAD, "brake on");
    } else {
        put_health(page, STATUS_GOOD, "active");
    }
    if (one->pending_groups) {
        mod_scim_page_putf(page,
                           "<br>%" APR_UINT64_T_FMT " members of %d deleted group%s are still "
                           "to be treated",
                           one->pending_members, one->pending_groups,
                           one->pending_groups == 1 ? "" : "s");
    }
    mod_scim_page_put(page, "</td>");
}

static void put_tenants(mod_scim_page *page, const scim_status *status)
{
    int i;

    mod_scim_page_put(page, "<section aria-labelledby=\"tenants\">\n<h2 id=\"tenants\">Tenants"
                            "</h2>\n<table class=\"wide\">\n<caption>What each of them has"
                            "</caption>\n<thead><tr><th scope=\"col\">Tenant</th><th "
                            "scope=\"col\">State</th><th scope=\"col\" class=\"number\">Users"
                            "</th><th scope=\"col\" class=\"number\">Inactive</th><th "
                            "scope=\"col\" class=\"number\">Groups</th><th scope=\"col\" "
                            "class=\"number\">Others</th></tr></thead>\n<tbody>\n");
    for (i = 0; i < status->tenants->nelts; i++) {
        const status_tenant *one = &APR_ARRAY_IDX(status->tenants, i, status_tenant);

        put_text(page, "<tr><th scope=\"row\">", one->tenant.name, "</th>");
        put_state(page, one);
        put_users(page, one);
        mod_scim_page_putf(page,
                           "<td data-label=\"Groups\" class=\"number\">%" APR_INT64_T_FMT
                           "</td><td data-label=\"Others\" class=\"number\">%" APR_INT64_T_FMT
                           "</td></tr>\n",
                           one->groups, one->others);
    }
    mod_scim_page_put(page, "</tbody>\n</table>\n</section>\n");
}

/* The store */

static void put_use(mod_scim_page *page, const scim_kv_stat *stat)
{
    double used = stat->size ? 100.0 * (double)stat->used / (double)stat->size : 0;
    double extent = stat->size ? 100.0 * (double)stat->extent / (double)stat->size : 0;

    mod_scim_page_putf(page,
                       "<svg viewBox=\"0 0 400 16\" width=\"400\" height=\"16\" role=\"img\" "
                       "aria-label=\"%.1f %% used\"><rect class=\"trough\" width=\"400\" "
                       "height=\"16\" rx=\"4\"></rect><rect class=\"extent\" width=\"%.1f\" "
                       "height=\"16\" rx=\"4\"></rect><rect class=\"bar\" width=\"%.1f\" "
                       "height=\"16\" rx=\"4\"></rect></svg>\n",
                       used, 4 * (extent > 100 ? 100 : extent), 4 * (used > 100 ? 100 : used));
}

static void put_store(mod_scim_page *page, const scim_status *status)
{
    const scim_kv_stat *stat = &status->store;

    mod_scim_page_put(page,
                      "<section aria-labelledby=\"store\">\n<h2 id=\"store\">Store</h2>\n");
    if (status->down) {
        mod_scim_page_put(page, "<p>");
        put_health(page, STATUS_BAD, "It cannot be read: ");
        put_text(page, "", status->down, "</p>\n</section>\n");
        return;
    }
    /* One that is elsewhere has no size of ours, nor a file. */
    if (stat->size) {
        put_use(page, stat);
    }
    put_text(page, "<dl>\n<dt>Where</dt><dd><code>", status->store_url, "</code></dd>\n");
    put_size(page, "Used", stat->used);
    if (stat->size) {
        put_size(page, "Taken of its file", stat->extent);
        put_size(page, "May grow to", stat->size);
    }
    put_number(page, "Entries", stat->entries);
    mod_scim_page_putf(page, "<dt>Readers</dt><dd>%u of %u</dd>\n</dl>\n</section>\n",
                       stat->readers, stat->max_readers);
}

/* Latency */

static const char *bound_text(int bucket, apr_pool_t *pool)
{
    apr_int64_t bound = scim_tally_bounds[bucket];

    if (bound < 1000) {
        return apr_psprintf(pool, "%d \xc2\xb5s", (int)bound);
    }
    if (bound < APR_USEC_PER_SEC) {
        return apr_psprintf(pool, "%d ms", (int)(bound / 1000));
    }
    return apr_psprintf(pool, "%d s", (int)(bound / APR_USEC_PER_SEC));
}

/* Within which so many of a hundred were answered; NULL: it took longer than the last. */
static const char *percentile(const scim_tally_histogram *h, int hundredths, apr_pool_t *pool)
{
    apr_uint64_t sum = 0;
    int i;

    for (i = 0; i < SCIM_TALLY_BUCKETS - 1; i++) {
        sum += h->buckets[i];
        if (sum * 100 >= h->count * (apr_uint64_t)hundredths) {
            return bound_text(i, pool);
        }
    }
    return NULL;
}

static const char *in_words(const scim_tally_histogram *h, apr_pool_t *pool)
{
    const char *half = percentile(h, 50, pool), *most = percentile(h, 99, pool);

    return apr_psprintf(pool, "half within %s, 99 of 100 within %s",
                        half ? half : "more than 10 s", most ? most : "more than 10 s");
}

static void put_bars(mod_scim_page *page, const scim_tally_histogram *h, apr_pool_t *pool)
{
    apr_uint64_t most = 1;
    int i;

    for (i = 0; i < SCIM_TALLY_BUCKETS; i++) {
        most = h->buckets[i] > most ? h->buckets[i] : most;
    }
    for (i = 0; i < SCIM_TALLY_BUCKETS; i++) {
        double height = 60.0 * (double)h->buckets[i] / (double)most;

        if (h->buckets[i]) {
            height = height < 1.5 ? 1.5 : height;
            mod_scim_page_putf(page,
                               "<rect class=\"bar\" x=\"%d\" y=\"%.1f\" width=\"14\" "
                               "height=\"%.1f\"></rect>",
                               i * 16 + 1, 64 - height, height);
        }
        if (i < SCIM_TALLY_BUCKETS - 1 && i % 6 == 4) {
            mod_scim_page_putf(page,
                               "<text x=\"%d\" y=\"78\" text-anchor=\"middle\">%s</text>"
                               "<line class=\"axis\" x1=\"%d\" y1=\"64\" x2=\"%d\" y2=\"68\">"
                               "</line>",
                               (i + 1) * 16, bound_text(i, pool), (i + 1) * 16, (i + 1) * 16);
        }
    }
}

static void put_table(mod_scim_page *page, const scim_tally_histogram *h, const char *title,
                      apr_pool_t *pool)
{
    int i;

    mod_scim_page_putf(
        page,
        "<details><summary>In numbers</summary>\n<table>\n<caption>%s: requests "
        "by the time that they took</caption>\n<thead><tr><th scope=\"col\">"
        "Within</th><th scope=\"col\" class=\"number\">Requests</th></tr></thead>"
        "\n<tbody>\n",
        title);
    for (i = 0; i < SCIM_TALLY_BUCKETS; i++) {
        if (h->buckets[i]) {
            mod_scim_page_putf(
                page,
                "<tr><th scope=\"row\">%s</th><td class=\"number\">%" APR_UINT64_T_FMT
                "</td></tr>\n",
                i < SCIM_TALLY_BUCKETS - 1 ? bound_text(i, pool) : "longer", h->buckets[i]);
        }
    }
    mod_scim_page_put(page, "</tbody>\n</table>\n</details>\n");
}

static void put_histogram(mod_scim_page *page, const scim_tally_histogram *h, const char *title,
                          apr_pool_t *pool)
{
    mod_scim_page_putf(page, "<div>\n<h3>%s</h3>\n", title);
    if (!h->count) {
        mod_scim_page_put(page, "<p class=\"quiet\">No request yet.</p>\n</div>\n");
        return;
    }
    mod_scim_page_putf(page, "<p>%" APR_UINT64_T_FMT " request%s: %s</p>\n", h->count,
                       h->count == 1 ? "" : "s", in_words(h, pool));
    mod_scim_page_putf(page,
                       "<svg viewBox=\"0 0 338 82\" width=\"338\" height=\"82\" role=\"img\" "
                       "aria-label=\"%s: %s\"><line class=\"axis\" x1=\"0\" y1=\"64\" "
                       "x2=\"338\" y2=\"64\"></line>",
                       title, in_words(h, pool));
    put_bars(page, h, pool);
    mod_scim_page_put(page, "</svg>\n");
    put_table(page, h, title, pool);
    mod_scim_page_put(page, "</div>\n");
}

static void put_latency(mod_scim_page *page, const scim_status *status)
{
    static const char *const titles[SCIM_TALLY_CLASSES] = {"Reading one", "Lists and searches",
                                                           "Changes"};
    int i;

    mod_scim_page_put(page,
                      "<section aria-labelledby=\"latency\">\n<h2 id=\"latency\">How long "
                      "answers take</h2>\n<div class=\"beside\">\n");
    for (i = 0; i < SCIM_TALLY_CLASSES; i++) {
        put_histogram(page, &status->latency[i], titles[i], status->r->pool);
    }
    mod_scim_page_put(page, "</div>\n</section>\n");
}

/* Who was refused */

static void put_refused(mod_scim_page *page, const scim_status *status)
{
    bool any = false;
    int i;

    mod_scim_page_put(page, "<section aria-labelledby=\"refused\">\n<h2 id=\"refused\">Refused "
                            "before anybody was known</h2>\n");
    for (i = SCIM_TALLY_KNOWN + 1; i < SCIM_TALLY_REASONS; i++) {
        const scim_tally_refused *one = &status->refused[i];

        if (!one->requests) {
            continue;
        }
        if (!any) {
            mod_scim_page_put(page,
                              "<table class=\"wide\">\n<caption>Requests of all stores of "
                              "this server</caption>\n<thead><tr><th scope=\"col\">The "
                              "token</th><th scope=\"col\" class=\"number\">Requests</th>"
                              "<th scope=\"col\">Last</th><th scope=\"col\">From</th></tr>"
                              "</thead>\n<tbody>\n");
            any = true;
        }
        mod_scim_page_putf(page,
                           "<tr><th scope=\"row\">%s</th><td data-label=\"Requests\" "
                           "class=\"number\">%" APR_UINT64_T_FMT
                           "</td><td data-label=\"Last\">",
                           scim_tally_reason_text((scim_tally_reason)i), one->requests);
        put_ago(page, status, one->last);
        put_text(page, "</td><td data-label=\"From\">", one->address, "</td></tr>\n");
    }
    mod_scim_page_put(page, any ? "</tbody>\n</table>\n</section>\n"
                                : "<p>Nobody.</p>\n</section>\n");
}

static void put_head(mod_scim_page *page, const scim_status *status, int refresh)
{
    put_text(page, "<p>", status->r->server->server_hostname, ", ");
    put_moment(page, status->now);
    if (status->since) {
        mod_scim_page_put(page, ". Counted since ");
        put_moment(page, status->since);
    }
    if (refresh) {
        mod_scim_page_putf(
            page,
            ". Read anew every %d seconds: <a href=\"?refresh=0&amp;page=%" APR_SIZE_T_FMT
            "\">stop</a>.</p>\n",
            refresh, status->page);
    } else {
        mod_scim_page_putf(page,
                           ". Not read anew by itself: <a href=\"?page=%" APR_SIZE_T_FMT
                           "\">start</a>.</p>\n",
                           status->page);
    }
}

int mod_scim_status_html(const scim_status *status, int refresh)
{
    mod_scim_page *page = mod_scim_page_begin(status->r, "SCIM status", refresh);

    put_head(page, status, refresh);
    put_problems(page, status);
    put_connections(page, status);
    put_objects(page, status, refresh);
    if (!status->down) {
        put_tenants(page, status);
    }
    put_latency(page, status);
    put_refused(page, status);
    put_store(page, status);
    return mod_scim_page_end(page);
}
