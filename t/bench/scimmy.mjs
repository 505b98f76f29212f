// SPDX-License-Identifier: Apache-2.0
// A SCIM server of another kind, for comparison: scimmy-routers on express, its
// users in memory, with an index of its own by userName.
//
//     node scimmy.mjs IDS PORT TOKEN
//
// IDS holds the ids of the users, one a line; the users are as fill.c makes them.
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

// Found where "make bench" installed them, not beside this file.
const require = createRequire(process.cwd() + "/");
const load = (name) => require(name).default ?? require(name);
const express = load("express");
const SCIMMY = load("scimmy");
const SCIMMYRouters = load("scimmy-routers");

const [ids, port, token] = process.argv.slice(2);
const users = new Map();
const names = new Map();

function put(user) {
    users.set(user.id, user);
    names.set(user.userName.toLowerCase(), user);
    return user;
}

function notFound(id) {
    throw new SCIMMY.Types.Error(404, null, `There is no user ${id}`);
}

function find(resource) {
    if (resource.id) {
        return users.get(resource.id) ?? notFound(resource.id);
    }
    const name = resource.filter?.length === 1 && resource.filter[0].userName;
    if (name?.[0] === "eq") {
        const found = names.get(name[1].toLowerCase());
        return found ? [found] : [];
    }
    return [...users.values()];
}

function write(resource, data) {
    const id = resource.id ?? randomUUID();
    const other = names.get(data.userName.toLowerCase());
    if (other && other.id !== id) {
        throw new SCIMMY.Types.Error(409, "uniqueness", "userName is taken");
    }
    const now = new Date().toISOString();
    const created = users.get(id)?.meta.created ?? now;
    return put({ ...JSON.parse(JSON.stringify(data)), id, meta: { created, lastModified: now } });
}

function remove(resource) {
    const user = users.get(resource.id) ?? notFound(resource.id);
    users.delete(user.id);
    names.delete(user.userName.toLowerCase());
}

readFileSync(ids, "utf8").trim().split("\n").forEach((id, n) => put({
    id,
    userName: `u${n}@example.com`,
    externalId: `ext-${n}`,
    displayName: `Dmitri Martin ${n}`,
    name: { formatted: "Dmitri Martin", givenName: "Dmitri", familyName: "Martin" },
    title: "Engineer",
    userType: "Employee",
    locale: "en-US",
    timezone: "Europe/Berlin",
    active: true,
    emails: [{ value: `u${n}@mail.example.com`, type: "work", primary: true }],
    phoneNumbers: [{ value: `+1 555 0${n}`, type: "work" }, { value: `+1 556 0${n}`, type: "mobile" }],
    addresses: [{ type: "work", streetAddress: "100 Universal City Plaza", locality: "Hollywood",
        region: "CA", postalCode: "91608", country: "US" }],
    meta: { created: "2026-01-01T00:00:00Z", lastModified: "2026-01-01T00:00:00Z" },
}));

SCIMMY.Resources.declare(SCIMMY.Resources.User.extend(SCIMMY.Schemas.EnterpriseUser, false))
    .ingress(write).egress(find).degress(remove);
const app = express();
app.use("/scim/v2", new SCIMMYRouters({
    type: "bearer",
    handler: (request) => {
        if (request.header("Authorization") !== `Bearer ${token}`) {
            throw new Error("no such token");
        }
        return "bench";
    },
}));
app.listen(Number(port), "127.0.0.1");
