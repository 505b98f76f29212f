/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pages for people: what they have in common.
 *
 * A page needs nothing but itself.  Its one style sheet is inside, and allowed by its
 * hash; scripts are not, so that a name that was made to be one stays a name.
 */
#include "mod_scim.h"

#include <apr_strings.h>
#include <http_protocol.h>
#include <openssl/evp.h>

struct mod_scim_page {
    request_rec *r;
    apr_bucket_brigade *bb;
};

/* Colours by their use, in light and in dark; both have a contrast of 4.5 and more. */
static const char style[] =
    ":root{color-scheme:light dark;--ground:#fff;--text:#1b1f24;--quiet:#57606a;"
    "--line:#d0d7de;--raised:#f6f8fa;--accent:#0550ae;--good:#116329;--warn:#7d4e00;"
    "--bad:#a40e26}"
    "@media(prefers-color-scheme:dark){:root{--ground:#0d1117;--text:#e6edf3;"
    "--quiet:#9198a1;--line:#3d444d;--raised:#151b23;--accent:#79c0ff;--good:#56d364;"
    "--warn:#e3b341;--bad:#ff9492}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;max-width:72rem;padding:1rem;background:var(--ground);"
    "color:var(--text);font:1rem/1.5 system-ui,sans-serif;overflow-wrap:break-word}"
    "h1{font-size:1.5rem;margin:.5rem 0}h2{font-size:1.15rem;margin:2rem 0 .5rem}"
    "a{color:var(--accent)}"
    ":focus-visible{outline:3px solid var(--accent);outline-offset:2px}"
    "table{border-collapse:collapse;width:100%}"
    "caption{text-align:left;color:var(--quiet);padding:.25rem 0}"
    "th,td{text-align:left;vertical-align:top;padding:.35rem .6rem;"
    "border-bottom:1px solid var(--line)}"
    "thead th{background:var(--raised);white-space:nowrap}th code{font-weight:400}"
    "code,.text{overflow-wrap:anywhere}td time{white-space:nowrap}"
    ".number{text-align:right;font-variant-numeric:tabular-nums}"
    ".good{color:var(--good)}.warn{color:var(--warn)}.bad{color:var(--bad)}"
    ".quiet{color:var(--quiet)}"
    "code,.code{font-family:ui-monospace,monospace;font-size:.95em}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.25rem 1rem;margin:0}"
    "dt{color:var(--quiet)}dd{margin:0}"
    "form{display:inline}"
    "button,input,select{font:inherit;color:inherit;background:var(--raised);"
    "border:1px solid var(--quiet);border-radius:.3rem;padding:.3rem .7rem;min-height:2.25rem}"
    "label{display:block;margin:.5rem 0}"
    ".box{border:1px solid var(--line);border-radius:.4rem;padding:.75rem 1rem;margin:1rem 0;"
    "background:var(--raised)}"
    "svg{max-width:100%;height:auto;display:block}"
    "svg .bar{fill:var(--accent)}svg text{fill:var(--quiet);font-size:11px}"
    "svg .axis{stroke:var(--line)}svg .trough{fill:var(--line)}"
    "svg .extent{fill:var(--quiet);opacity:.5}"
    "ul.plain{list-style:none;margin:0;padding:0}ul.plain li{white-space:nowrap}"
    "ul.problems{padding-left:2rem}"
    "ul.problems li{margin:.3rem 0}h3{font-size:1rem;margin:.75rem 0 0}"
    ".beside{display:flex;flex-wrap:wrap;gap:0 2rem}.beside>div{flex:1 1 16rem;min-width:0}"
    ".whole{user-select:all}.acts a{margin-right:.75rem}"
    ".tokens td,.tokens thead th{overflow-wrap:break-word}"
    "@media(max-width:40rem){body{padding:.6rem}dl{grid-template-columns:1fr}}"
    "@media(max-width:58rem){table.wide,table.wide caption,table.wide tbody{display:block;"
    "overflow-wrap:anywhere}"
    "table.wide thead{position:absolute;left:-10000px}"
    "table.wide tr{display:block;border-bottom:2px solid var(--line);padding:.4rem 0}"
    "table.wide th,table.wide td{display:block;border:0;padding:.1rem 0;text-align:left}"
    "table.wide td[data-label]::before{content:attr(data-label) ': ';color:var(--quiet)}}";

/* The hash of the style sheet, as a policy names it. */
static const char *style_hash(apr_pool_t *pool)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned char text[4 * ((EVP_MAX_MD_SIZE + 2) / 3) + 1];
    unsigned int len;

    if (!EVP_Digest(style, sizeof(style) - 1, digest, &len, EVP_sha256(), NULL)) {
        return "none";
    }
    EVP_EncodeBlock(text, digest, (int)len);
    return apr_pstrcat(pool, "sha256-", (const char *)text, NULL);
}

static void set_headers(request_rec *r)
{
    ap_set_content_type(r, "text/html; charset=utf-8");
    apr_table_setn(r->headers_out, "Cache-Control", "no-store");
    apr_table_setn(r->headers_out, "Content-Security-Policy",
                   apr_psprintf(r->pool,
                                "default-src 'none'; style-src '%s'; form-action 'self'; "
                                "base-uri 'none'; frame-ancestors 'none'",
                                style_hash(r->pool)));
    apr_table_setn(r->headers_out, "X-Content-Type-Options", "nosniff");
    apr_table_setn(r->headers_out, "X-Frame-Options", "DENY");
    apr_table_setn(r->headers_out, "Referrer-Policy", "no-referrer");
}

void mod_scim_page_put(mod_scim_page *page, const char *markup)
{
    apr_brigade_puts(page->bb, NULL, NULL, markup);
}

void mod_scim_page_putf(mod_scim_page *page, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    apr_brigade_vprintf(page->bb, NULL, NULL, fmt, args);
    va_end(args);
}

/* Controls, marks of direction and the like: how long it is where one begins here, and
 * its code point; 0 where none does. */
static int steering(const unsigned char *text, unsigned int *code)
{
    if ((*text < 0x20 && *text != '\n' && *text != '\t') || *text == 0x7f) {
        *code = *text;
        return 1;
    }
    if (text[0] == 0xc2 && text[1] >= 0x80 && text[1] < 0xa0) {
        *code = text[1];
        return 2;
    }
    if (text[0] == 0xd8 && text[1] == 0x9c) {
        *code = 0x61c;
        return 2;
    }
    if (text[0] == 0xe2 && (text[1] == 0x80 || text[1] == 0x81) && text[2] >= 0x80) {
        *code = 0x2000u | (text[1] & 0x3fu) << 6 | (text[2] & 0x3fu);
        if ((*code >= 0x200b && *code <= 0x200f) || (*code >= 0x2028 && *code <= 0x202e) ||
            (*code >= 0x2060 && *code <= 0x206f)) {
            return 3;
        }
    }
    return 0;
}

static const char *entity_of(char c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void mod_scim_page_text(mod_scim_page *page, const char *text)
{
    const char *from = text;
    unsigned int code = 0;

    while (*text) {
        const char *entity = entity_of(*text);
        int len = entity ? 1 : steering((const unsigned char *)text, &code);

        if (!len) {
            text++;
            continue;
        }
        apr_brigade_write(page->bb, NULL, NULL, from, (apr_size_t)(text - from));
        if (entity) {
            mod_scim_page_put(page, entity);
        } else {
            mod_scim_page_putf(page, "[U+%04X]", code);
        }
        text += len;
        from = text;
    }
    apr_brigade_write(page->bb, NULL, NULL, from, (apr_size_t)(text - from));
}

mod_scim_page *mod_scim_page_begin(request_rec *r, const char *title, int refresh)
{
    mod_scim_page *page = apr_palloc(r->pool, sizeof(*page));

    page->r = r;
    page->bb = apr_brigade_create(r->pool, r->connection->bucket_alloc);
    set_headers(r);
    mod_scim_page_put(page, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
                            "<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                            "content=\"width=device-width,initial-scale=1\">\n");
    if (refresh > 0) {
        mod_scim_page_putf(page, "<meta http-equiv=\"refresh\" content=\"%d\">\n", refresh);
    }
    mod_scim_page_put(page, "<title>");
    mod_scim_page_text(page, title);
    mod_scim_page_put(page, "</title>\n<style>");
    mod_scim_page_put(page, style);
    mod_scim_page_put(page, "</style>\n</head>\n<body>\n<main>\n<h1>");
    mod_scim_page_text(page, title);
    mod_scim_page_put(page, "</h1>\n");
    return page;
}

void mod_scim_page_secret(mod_scim_page *page, const char *text)
{
    APR_BRIGADE_INSERT_TAIL(page->bb, apr_bucket_pool_create(text, strlen(text), page->r->pool,
                                                             page->bb->bucket_alloc));
}

int mod_scim_page_end(mod_scim_page *page)
{
    request_rec *r = page->r;

    mod_scim_page_put(page, "</main>\n</body>\n</html>\n");
    APR_BRIGADE_INSERT_TAIL(page->bb, apr_bucket_eos_create(r->connection->bucket_alloc));
    ap_pass_brigade(r->output_filters, page->bb);
    return OK;
}
