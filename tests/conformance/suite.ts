/**
 * What Taskkit relies on in a KV, asked of one kind of it. Every test works below a prefix of its
 * own, so one database serves them all; {@linkcode Traits} says where kinds may differ.
 *
 * @module
 */

import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import type { Entry, Key, KeyPart, KvPort, ListOptions, Selector } from "../../src/store/port.ts";
import { packKey } from "../../src/testing/packed_key.ts";
import { SeededRandom } from "../../src/testing/prng.ts";
import { SimDatabase } from "../../src/testing/sim_database.ts";
import type { Backend } from "./backends.ts";
import type { Refused, Traits } from "./traits.ts";

const VERSIONSTAMP = /^[0-9a-f]{20}$/;

/**
 * A connection, a prefix that nothing else uses, and short ways to say what tests say all the time.
 */
interface World {
  readonly kv: KvPort;
  readonly traits: Traits;
  /** Another connection to the same data. */
  reopen(): Promise<KvPort>;
  key(...parts: KeyPart[]): Key;
  /** Sets keys in one commit, and says its versionstamp. */
  put(...keys: Key[]): Promise<string>;
  /** The parts behind the prefix of everything that a listing finds. */
  list(selector: Selector, options?: ListOptions): Promise<KeyPart[][]>;
  throws(refused: Refused, act: () => unknown): Promise<void>;
}

type Proof = (world: World) => Promise<void>;

const bytes = (...values: number[]) => new Uint8Array(values);

/** Registers the suite for one backend. */
export function conformance(backend: Backend): void {
  const { name, traits, skip } = backend;
  if (skip !== undefined) {
    test(`${name} (skipped: ${skip})`, { skip }, () => {});
    return;
  }
  describe(name, () => {
    let kv: KvPort;
    let prefixes = 0;
    before(async () => {
      kv = await backend.open();
    });
    after(async () => {
      kv.close();
      await backend.cleanup();
    });
    for (const [title, prove] of Object.entries(proofs(backend))) {
      test(title, () => prove(worldOn(kv, traits, `${title} ${++prefixes}`, backend)));
    }
  });
}

function worldOn(kv: KvPort, traits: Traits, prefix: string, backend: Backend): World {
  const key = (...parts: KeyPart[]): Key => [prefix, ...parts];
  return {
    kv,
    traits,
    reopen: () => backend.open(),
    key,
    async put(...keys) {
      let atomic = kv.atomic();
      for (const key of keys) atomic = atomic.set(key, bytes(1));
      const result = await atomic.commit();
      assert(result.ok);
      return result.versionstamp;
    },
    async list(selector, options) {
      const found: KeyPart[][] = [];
      for await (const entry of kv.list(selector, options)) found.push([...entry.key.slice(1)]);
      return found;
    },
    async throws(refused, act) {
      await assert.rejects(async () => await act(), (error) => {
        assert.match(String(error), traits.refused[refused]);
        return true;
      });
    },
  };
}

/** What holds on every kind, and what holds by its traits. */
function proofs(backend: Backend): Record<string, Proof> {
  return {
    ...values,
    ...orders,
    ...listings,
    ...commits,
    ...limits,
    ...expiries,
    ...likeness,
    ...watches,
    ...(backend.isShared ? connections : {}),
    ...closings,
  };
}

const values: Record<string, Proof> = {
  async "an absent key has neither value nor versionstamp"({ kv, key }) {
    const absent = key("nothing");
    assert.deepEqual(await kv.get(absent), { key: absent, value: null, versionstamp: null });
  },

  async "bytes come back as they went in, from nothing to the largest value"({ kv, key }) {
    const all = Uint8Array.from({ length: 256 }, (_, index) => index);
    const large = Uint8Array.from({ length: 65_536 }, (_, index) => index * 31);
    for (const value of [bytes(), bytes(0), all, large]) {
      await kv.atomic().set(key(value.length), value).commit();
      const entry = await kv.get(key(value.length));
      assert.deepEqual(entry.key, key(value.length));
      assert(entry.value instanceof Uint8Array);
      assert.deepEqual([...entry.value], [...value]);
    }
  },

  async "a view of a larger buffer is stored alone"({ kv, key }) {
    await kv.atomic().set(key(), new Uint8Array([1, 2, 3, 4, 5]).subarray(1, 3)).commit();
    const { value } = await kv.get(key());
    assert(value instanceof Uint8Array);
    assert.deepEqual([...value], [2, 3]);
  },

  async "who changes what was read changes nothing that is stored"({ kv, key }) {
    await kv.atomic().set(key("a"), bytes(1, 2)).set(key("b"), bytes(3, 4)).commit();
    const read = async (): Promise<Entry[]> => {
      const listed: Entry[] = [];
      for await (const entry of kv.list({ prefix: key() })) listed.push(entry);
      return [await kv.get(key("a")), ...await kv.getMany([key("b")]), ...listed];
    };
    for (const { value } of await read()) (value as Uint8Array).fill(9);
    const stored = (await read()).map(({ value }) => [...value as Uint8Array]);
    assert.deepEqual(stored, [[1, 2], [3, 4], [1, 2], [3, 4]]);
  },

  async "who changes bytes after the commit is answered changes nothing that is stored"(
    { kv, key },
  ) {
    const value = bytes(1);
    await kv.atomic().set(key(), value).commit();
    value[0] = 2;
    assert.deepEqual([...(await kv.get(key())).value as Uint8Array], [1]);
  },

  async "bytes are taken when the commit is sent, or later where the client does so"(
    { kv, key, traits },
  ) {
    const value = bytes(1);
    const atomic = kv.atomic().set(key(), value);
    value[0] = 2;
    const sent = atomic.commit();
    value[0] = 3;
    await sent;
    const [stored] = (await kv.get(key())).value as Uint8Array;
    if (traits.copiesAtOnce) assert.equal(stored, 2);
    else assert(stored === 2 || stored === 3);
  },

  async "objects are taken at set(), or at commit() where the client does so"(
    { kv, key, traits },
  ) {
    const value = { n: 1 };
    const atomic = kv.atomic().set(key(), value);
    value.n = 2;
    const sent = atomic.commit();
    value.n = 3;
    await sent;
    assert.deepEqual((await kv.get(key())).value, { n: traits.clonesAtSet ? 1 : 2 });
  },

  async "other values come back as structured clones"({ kv, key }) {
    const value = { date: new Date(5), map: new Map([[1, [2n]]]), nothing: undefined };
    await kv.atomic().set(key("object"), value).set(key("null"), null).commit();
    assert.deepEqual((await kv.get(key("object"))).value, value);
    const { value: nothing, versionstamp } = await kv.get(key("null"));
    assert.equal(nothing, null);
    assert.match(versionstamp ?? "", VERSIONSTAMP);
  },

  async "what has no clone is refused"({ kv, key }) {
    await assert.rejects(async () => await kv.atomic().set(key(), () => {}).commit());
    assert.equal((await kv.get(key())).versionstamp, null);
  },

  async "getMany answers in the order of its keys, absent and repeated ones too"({ kv, key }) {
    await kv.atomic().set(key("a"), bytes(1)).set(key("b"), bytes(2)).commit();
    const keys = [key("b"), key("nothing"), key("a"), key("b")];
    const entries = await kv.getMany(keys);
    assert.deepEqual(entries.map((entry) => entry.key), keys);
    assert.deepEqual(
      entries.map(({ value }) => value === null ? null : [...value as Uint8Array]),
      [[2], null, [1], [2]],
    );
    assert.deepEqual(await kv.getMany([]), []);
  },
};

/** In the order in which they must be listed. */
const ORDERED: readonly KeyPart[] = [
  bytes(),
  bytes(0),
  bytes(0, 1),
  bytes(1),
  bytes(255),
  "",
  "\0",
  "\0a",
  "a",
  "a\0",
  "aa",
  "ab",
  "b",
  "é",
  "\uffff", // Before 😀 by its bytes, after it by UTF-16.
  "😀",
  -(2n ** 70n),
  -(2n ** 64n),
  -(2n ** 64n) + 1n,
  -256n,
  -255n,
  -1n,
  0n,
  1n,
  255n,
  256n,
  2n ** 64n - 1n,
  2n ** 64n,
  2n ** 70n,
  -Infinity,
  -1.5,
  -1,
  -5e-324,
  0,
  5e-324,
  1,
  1.5,
  2 ** 53,
  Infinity,
  NaN,
  false,
  true,
];

const orders: Record<string, Proof> = {
  async "keys of all types are listed in one order, and come back as they were"(world) {
    const { key, put, list } = world;
    await put(...ORDERED.toReversed().map((part) => key(part)));
    const found = await list({ prefix: key() });
    assert.deepEqual(found, ORDERED.map((part) => [part]));
    assert.deepEqual(await list({ prefix: key() }, { reverse: true }), found.toReversed());
  },

  async "a key sorts before what it begins"({ key, put, list }) {
    await put(key("a", "b"), key("a"), key("a", "b", 1), key("aa"));
    const found = await list({ start: key("a"), end: key("b") });
    assert.deepEqual(found, [["a"], ["a", "b"], ["a", "b", 1], ["aa"]]);
  },

  async "-0 and 0 are two keys, or one where the client says so"({ key, put, list, traits }) {
    await put(key(0), key(-0));
    const found = await list({ prefix: key() });
    assert.deepEqual(found, traits.tellsMinusZero ? [[-0], [0]] : [[0]]);
  },

  async "a lone surrogate is U+FFFD, so such keys collide"({ kv, key, put, list }) {
    const stamp = await put(key("\ud800"));
    assert.equal((await kv.get(key("\ufffd"))).versionstamp, stamp);
    assert.deepEqual(await list({ prefix: key() }), [["\ufffd"]]);
  },

  async "a part of another type is refused"({ kv, key }) {
    for (const part of [undefined, null, {}, Symbol("part")]) {
      await assert.rejects(async () => await kv.get(key(part as unknown as KeyPart)));
    }
  },
};

const listings: Record<string, Proof> = {
  async "a prefix means what is below it, not itself nor what begins alike"(
    { key, put, list },
  ) {
    await put(key("a"), key("a", 1), key("a", 2), key("ab"), key("a", 1, "x"));
    assert.deepEqual(await list({ prefix: key("a") }), [["a", 1], ["a", 1, "x"], ["a", 2]]);
  },

  async "in reverse a prefix means the same, but for one client that tells the prefix's own key"(
    { key, put, list, traits },
  ) {
    // That client also asks for ever when such a key exists and limit or batchSize is 1, so this
    // asks for more.
    await put(key("a"), key("a", 1), key("a", 2));
    const found = await list({ prefix: key("a") }, { reverse: true });
    const itself = traits.reverseTellsPrefix ? [["a"]] : [];
    assert.deepEqual(found, [["a", 2], ["a", 1], ...itself]);
  },

  async "start is included and end excluded, with and without a prefix"({ key, put, list }) {
    await put(...[1, 2, 3, 4, 5].map((n) => key(n)));
    const between = { start: key(2), end: key(4) };
    assert.deepEqual(await list(between), [[2], [3]]);
    assert.deepEqual(await list(between, { reverse: true }), [[3], [2]]);
    assert.deepEqual(await list({ prefix: key(), start: key(4) }), [[4], [5]]);
    assert.deepEqual(await list({ prefix: key(), end: key(3) }), [[1], [2]]);
    assert.deepEqual(await list({ prefix: key(), start: key(2.5) }, { limit: 1 }), [[3]]);
    assert.deepEqual(await list({ start: key(2), end: key(2) }), []);
    assert.deepEqual(await list({ prefix: key("nothing") }), []);
  },

  async "limit bounds the entries, from either end"({ key, put, list }) {
    await put(...[1, 2, 3, 4, 5].map((n) => key(n)));
    assert.deepEqual(await list({ prefix: key() }, { limit: 2 }), [[1], [2]]);
    assert.deepEqual(await list({ prefix: key() }, { limit: 2, reverse: true }), [[5], [4]]);
    assert.deepEqual(await list({ prefix: key() }, { limit: 9, batchSize: 2 }), [
      [1],
      [2],
      [3],
      [4],
      [5],
    ]);
  },

  async "a cursor goes on behind the last entry, in either direction"({ kv, key, put }) {
    await put(...[1, 2, 3, 4, 5].map((n) => key(n)));
    for (const reverse of [false, true]) {
      const pages: KeyPart[][] = [];
      let cursor: string | undefined;
      for (let page = 0; page < 3; page++) {
        const options = cursor === undefined ? {} : { cursor };
        const listing = kv.list({ prefix: key() }, { limit: 2, reverse, ...options });
        const found: KeyPart[] = [];
        for await (const entry of listing) found.push(entry.key[1] as KeyPart);
        pages.push(found);
        cursor = cursorOf(listing);
      }
      assert.deepEqual(pages, reverse ? [[5, 4], [3, 2], [1]] : [[1, 2], [3, 4], [5]]);
    }
  },

  async "a cursor stays good when its key is gone"({ kv, key, put, list }) {
    await put(...[1, 2, 3].map((n) => key(n)));
    const listing = kv.list({ prefix: key() }, { limit: 2 });
    for await (const _ of listing) { /* to its end */ }
    await kv.atomic().delete(key(2)).commit();
    assert.deepEqual(await list({ prefix: key() }, { cursor: cursorOf(listing) }), [[3]]);
  },

  async "after the last entry the cursor is empty, or the last one's"(
    { kv, key, put, list, traits },
  ) {
    await put(key(1), key(2));
    const listing = kv.list({ prefix: key() });
    assert.throws(() => cursorOf(listing), /Cannot get cursor before first iteration/);
    for await (const _ of listing) { /* to its end */ }
    const cursor = cursorOf(listing);
    if (traits.cursorAtEnd === "empty") assert.equal(cursor, "");
    else assert.deepEqual(await list({ prefix: key() }, { cursor }), []);
  },

  async "each batch is a snapshot of its own instant"({ kv, key, put }) {
    await put(...[0, 1, 2, 3, 4, 5].map((n) => key(n)));
    const found: KeyPart[] = [];
    for await (const { key: [, n] } of kv.list({ prefix: key() }, { batchSize: 2 })) {
      found.push(n as KeyPart);
      if (n !== 0) continue;
      // 0 and 1 are read: that 1 is gone is not seen; that 3 is gone and 2.5 came, is.
      await kv.atomic().delete(key(1)).delete(key(3)).set(key(2.5), bytes()).commit();
    }
    assert.deepEqual(found, [0, 1, 2, 2.5, 4, 5]);
  },

  async "nothing is read before the first entry is asked for"({ kv, key, put }) {
    const listing = kv.list({ prefix: key() });
    await put(key(1));
    assert.deepEqual((await listing.next()).value?.key, key(1));
    assert.equal((await listing.next()).done, true);
    assert.equal((await listing.next()).done, true);
  },

  async "100 entries are read at once, or as many as the limit says"(
    { kv, key, traits },
  ) {
    const readAtOnce = async (options: ListOptions) => {
      let atomic = kv.atomic();
      for (let n = 0; n < 200; n++) atomic = atomic.set(key(n), bytes());
      await atomic.commit();
      let count = 0;
      for await (const _ of kv.list({ prefix: key() }, options)) {
        if (count++ > 0) continue;
        let rest = kv.atomic();
        for (let n = 1; n < 200; n++) rest = rest.delete(key(n));
        await rest.commit();
      }
      return count;
    };
    assert.equal(await readAtOnce({}), 100);
    assert.equal(await readAtOnce({ batchSize: 120 }), 120);
    assert.equal(await readAtOnce({ limit: 150 }), traits.batchOfLimit150);
  },

  async "a listing may be left in the middle"({ kv, key, put }) {
    await put(key(1), key(2), key(3));
    for await (const { key: [, n] } of kv.list({ prefix: key() }, { batchSize: 1 })) {
      if (n === 2) break;
    }
  },

  async "selectors that mean nothing are refused"({ kv, key }) {
    const refused: [unknown, RegExp][] = [
      [{}, /must specify either 'prefix' or both/],
      [{ start: key(1) }, /must specify either 'prefix' or both/],
      [{ start: key(2), end: key(1) }, /Start key is greater than end key/],
      [{ prefix: key(), start: key(1), end: key(2) }, /can not specify both 'start' and 'end'/],
      [{ prefix: key("a"), start: key("b") }, /Start key is not in the keyspace defined by prefix/],
      [{ prefix: key("a"), start: key("a") }, /Start key is not in the keyspace defined by prefix/],
      [{ prefix: key("a"), end: key("b") }, /End key is not in the keyspace defined by prefix/],
    ];
    for (const [selector, message] of refused) {
      await assert.rejects(async () => await kv.list(selector as Selector).next(), (error) => {
        assert.match(String(error), /^TypeError/);
        assert.match(String(error), message);
        return true;
      });
    }
  },

  async "options that mean nothing are refused"({ kv, key, throws }) {
    await throws("limit", () => kv.list({ prefix: key() }, { limit: 0 }).next());
    await throws("batchSize", () => kv.list({ prefix: key() }, { batchSize: 0 }).next());
    await throws("cursor", () => kv.list({ prefix: key() }, { cursor: "###" }).next());
    await assert.rejects(async () => await kv.list({ prefix: key() }, { batchSize: 1_001 }).next());
    assert.equal((await kv.list({ prefix: key() }, { batchSize: 1_000 }).next()).done, true);
  },
};

/** Listings of all kinds have a cursor; the port leaves it out, as Taskkit pages by keys. */
function cursorOf(listing: AsyncIterator<Entry>): string {
  return (listing as AsyncIterator<Entry> & { cursor: string }).cursor;
}

const commits: Record<string, Proof> = {
  async "all keys of a commit share one versionstamp, which grows"({ kv, key, put }) {
    const first = await put(key(1), key(2));
    const second = await put(key(2), key(3));
    assert.match(first, VERSIONSTAMP);
    assert.match(second, VERSIONSTAMP);
    assert(first < second);
    const stamps = (await kv.getMany([key(1), key(2), key(3)])).map((entry) => entry.versionstamp);
    assert.deepEqual(stamps, [first, second, second]);
  },

  async "a versionstamp from a get, a getMany and a list is the same"({ kv, key, put }) {
    const stamp = await put(key(1));
    const [many] = await kv.getMany([key(1)]);
    const { value: listed } = await kv.list({ prefix: key() }).next();
    assert.equal((await kv.get(key(1))).versionstamp, stamp);
    assert.equal(many?.versionstamp, stamp);
    assert.equal(listed.versionstamp, stamp);
  },

  async "a check of the present version passes, of an older one or of absence does not"(
    { kv, key, put },
  ) {
    const old = await put(key());
    const present = await put(key());
    const attempt = async (versionstamp: string | null) =>
      await kv.atomic().check({ key: key(), versionstamp }).set(key("touched"), bytes()).commit();
    assert.deepEqual(await attempt(old), { ok: false });
    assert.deepEqual(await attempt(null), { ok: false });
    assert.equal((await kv.get(key("touched"))).versionstamp, null);
    assert.equal((await attempt(present)).ok, true);
  },

  async "one failed check of many leaves everything as it was"({ kv, key, put }) {
    const stamp = await put(key("a"));
    const result = await kv.atomic()
      .check({ key: key("a"), versionstamp: stamp }, { key: key("b"), versionstamp: stamp })
      .set(key("a"), bytes(2)).delete(key("a")).set(key("c"), bytes(3)).commit();
    assert.deepEqual(result, { ok: false });
    const stamps = await kv.getMany([key("a"), key("b"), key("c")]);
    assert.deepEqual(stamps.map((entry) => entry.versionstamp), [stamp, null, null]);
  },

  async "a check of absence passes before the first set and after a delete"({ kv, key, put }) {
    const make = () =>
      kv.atomic().check({ key: key(), versionstamp: null }).set(key(), bytes()).commit();
    assert.equal((await make()).ok, true);
    assert.equal((await make()).ok, false);
    await kv.atomic().delete(key()).commit();
    assert.equal((await make()).ok, true);
    await put(key());
  },

  async "checks see what was there before the commit, wherever they stand in it"({ kv, key }) {
    const result = await kv.atomic().set(key(), bytes(1))
      .check({ key: key(), versionstamp: null }).commit();
    assert.equal(result.ok, true);
  },

  async "the last of several mutations of a key wins"({ kv, key }) {
    await kv.atomic().set(key("a"), bytes(1)).set(key("a"), bytes(2))
      .set(key("b"), bytes(1)).delete(key("b"))
      .delete(key("c")).set(key("c"), bytes(3)).commit();
    const entries = await kv.getMany([key("a"), key("b"), key("c")]);
    const found = entries.map(({ value }) => value === null ? null : [...value as Uint8Array]);
    assert.deepEqual(found, [[2], null, [3]]);
  },

  async "to delete what is absent is no failure; a commit that changes nothing succeeds"(
    { kv, key },
  ) {
    const deleted = await kv.atomic().delete(key()).commit();
    const nothing = await kv.atomic().commit();
    const checked = await kv.atomic().check({ key: key(), versionstamp: null }).commit();
    assert.deepEqual([deleted.ok, nothing.ok, checked.ok], [true, true, true]);
  },

  async "of commits that race with the same check, one wins"({ kv, key, put }) {
    const versionstamp = await put(key());
    const results = await Promise.all(
      Array.from(
        { length: 8 },
        (_, n) => kv.atomic().check({ key: key(), versionstamp }).set(key(), bytes(n)).commit(),
      ),
    );
    const [winner, ...others] = results.flatMap((result, n) => result.ok ? [n] : []);
    assert.deepEqual(others, []);
    assert.deepEqual([...(await kv.get(key())).value as Uint8Array], [winner]);
  },

  async "an atomic operation may be committed again: its checks are asked anew"({ kv, key }) {
    const free = kv.atomic().set(key("free"), bytes());
    const guarded = kv.atomic().check({ key: key("guarded"), versionstamp: null })
      .set(key("guarded"), bytes());
    const results = [
      await free.commit(),
      await free.commit(),
      await guarded.commit(),
      await guarded.commit(),
    ];
    assert.deepEqual(results.map((result) => result.ok), [true, true, true, false]);
  },
};

const limits: Record<string, Proof> = {
  async "a commit takes so many checks and not one more"({ kv, key, throws, traits }) {
    const commit = (count: number) => {
      const checks = Array.from({ length: count }, (_, n) => ({ key: key(n), versionstamp: null }));
      return kv.atomic().check(...checks).set(key("done", count), bytes()).commit();
    };
    assert.equal((await commit(10)).ok, true);
    assert.equal((await commit(traits.checksMax)).ok, true);
    await throws("checks", () => commit(traits.checksMax === 100 ? 101 : 11));
    assert.equal((await kv.get(key("done", traits.checksMax + 1))).versionstamp, null);
  },

  async "a commit takes 1,000 mutations and not one more"({ kv, key, throws }) {
    const commit = (count: number) => {
      let atomic = kv.atomic().set(key("done", count), bytes());
      for (let n = 1; n < count; n++) atomic = atomic.delete(key(n));
      return atomic.commit();
    };
    assert.equal((await commit(1_000)).ok, true);
    await throws("mutations", () => commit(1_001));
    assert.equal((await kv.get(key("done", 1_001))).versionstamp, null);
  },

  async "getMany takes 10 keys and not one more"({ kv, key, throws }) {
    const keys = Array.from({ length: 11 }, (_, n) => key(n));
    assert.equal((await kv.getMany(keys.slice(1))).length, 10);
    await throws("getMany", () => kv.getMany(keys));
  },

  async "a value has 65,536 bytes and not one more"({ kv, key, throws }) {
    const commit = (size: number) => kv.atomic().set(key(size), new Uint8Array(size)).commit();
    assert.equal((await commit(65_536)).ok, true);
    await throws("valueBytes", () => commit(65_537));
  },

  async "a key to write has 2,048 bytes and not one more"({ kv, key, throws }) {
    const commit = (size: number) => kv.atomic().set(keyOfBytes(key(), size), bytes()).commit();
    assert.equal((await commit(2_048)).ok, true);
    await throws("keyToWriteBytes", () => commit(2_049));
  },

  async "a key to read may be as long as one to write, and a byte longer on some"(
    { kv, key, throws, traits: { keyToReadBytesMax } },
  ) {
    const get = (size: number) => kv.get(keyOfBytes(key(), size));
    assert.equal((await get(2_048)).versionstamp, null);
    assert.equal((await get(keyToReadBytesMax)).versionstamp, null);
    await throws("keyToReadBytes", () => get(keyToReadBytesMax + 1));
  },

  async "a commit has 819,200 bytes of keys and values and not one more"(
    { kv, key, throws, traits },
  ) {
    const commit = (total: number) => {
      let left = total;
      let atomic = kv.atomic();
      for (let n = 0; left > 0; n++) {
        const id = keyOfBytes(key(n), 100);
        const size = Math.min(65_536, left - 100 * traits.setKeyCounts);
        atomic = atomic.set(id, new Uint8Array(size));
        left -= size + 100 * traits.setKeyCounts;
      }
      return atomic.commit();
    };
    assert.equal((await commit(819_200)).ok, true);
    await throws("commitBytes", () => commit(819_201));
  },

  async "the keys that a commit sets have 81,920 bytes, where they are bounded"(
    { kv, key, traits },
  ) {
    const commit = (count: number) => {
      let atomic = kv.atomic();
      for (let n = 0; n < count; n++) atomic = atomic.set(keyOfBytes(key(n), 2_048), bytes());
      return atomic.commit();
    };
    assert.equal((await commit(40)).ok, true);
    if (traits.setKeyBytesMax === null) assert.equal((await commit(41)).ok, true);
    else await assert.rejects(() => commit(41), /TypeError: Total key size too large/);
  },

  async "an empty key cannot be written; to read it, it is absent or refused"(
    { kv, throws, traits },
  ) {
    await throws("emptyKey", () => kv.atomic().set([], bytes()).commit());
    if (!traits.readsEmptyKey) await throws("emptyKey", () => kv.get([]));
    else assert.deepEqual(await kv.get([]), { key: [], value: null, versionstamp: null });
  },

  async "a versionstamp that is none is refused"({ kv, key, throws }) {
    const check = { key: key(), versionstamp: "zz" };
    await throws("versionstamp", () => kv.atomic().check(check).set(key(), bytes()).commit());
  },
};

/** A key of exactly so many bytes below another one. */
function keyOfBytes(prefix: Key, size: number): Key {
  const encoded = (part: KeyPart) => typeof part === "number" ? 9 : String(part).length + 2;
  const used = prefix.reduce((sum: number, part) => sum + encoded(part), 0);
  return [...prefix, "k".repeat(size - used - 2)];
}

const likeness: Record<string, Proof> = {
  async "random operations have the results that the simulated KV gives them"(world) {
    const random = new SeededRandom("likeness");
    const [real, simulated] = [world.kv, new SimDatabase().connect()];
    const keys = PARTS.flatMap((a) => [world.key(a), ...PARTS.map((b) => world.key(a, b))]);
    /** What a versionstamp of the simulated KV is called by the real one. */
    const stamps = new Map<string, string>();
    const expected = (entries: readonly Entry[]) =>
      entries.map((entry) => plain({ ...entry, versionstamp: stampOf(entry.versionstamp) }));
    const stampOf = (stamp: string | null) => stamp === null ? null : stamps.get(stamp) ?? null;
    for (let n = 0; n < 400; n++) {
      const act = random.int(0, 9);
      if (act < 6) {
        const checks = random.shuffle(keys).slice(0, random.pick([0, 1, 2]));
        const changes = random.shuffle(keys).slice(0, random.int(0, 5));
        let [onReal, onSimulated] = [real.atomic(), simulated.atomic()];
        for (const key of checks) {
          const { versionstamp } = await simulated.get(key);
          const old = random.chance(0.2) ? random.pick([null, ...stamps.keys()]) : versionstamp;
          onSimulated = onSimulated.check({ key, versionstamp: old });
          onReal = onReal.check({ key, versionstamp: stampOf(old) });
        }
        for (const key of changes) {
          const value = random.chance(0.7) ? random.bytes(random.int(0, 9)) : null;
          onSimulated = value ? onSimulated.set(key, value) : onSimulated.delete(key);
          onReal = value ? onReal.set(key, value) : onReal.delete(key);
        }
        const [result, wanted] = [await onReal.commit(), await onSimulated.commit()];
        assert.equal(result.ok, wanted.ok, `commit ${n}`);
        if (result.ok && wanted.ok) stamps.set(wanted.versionstamp, result.versionstamp);
      } else if (act === 6) {
        const some = random.shuffle(keys).slice(0, random.int(1, 10));
        const found = await real.getMany(some);
        assert.deepEqual(found.map(plain), expected(await simulated.getMany(some)), `get ${n}`);
      } else {
        const selector = anySelector(random, keys, world.key(), world.traits);
        const options = {
          reverse: random.chance(0.5),
          ...(random.chance(0.5) ? { limit: random.int(1, 12) } : {}),
          ...(random.chance(0.5) ? { batchSize: random.int(1, 12) } : {}),
        };
        const [found, wanted] = [
          await Array.fromAsync(real.list(selector, options)),
          await Array.fromAsync(simulated.list(selector, options)),
        ];
        assert.deepEqual(found.map(plain), expected(wanted), `list ${n}`);
      }
    }
  },
};

const PARTS: readonly KeyPart[] = ["a", "b\0", "é", 1, -2.5, 7n, -300n, true, bytes(0, 1)];

function anySelector(
  random: SeededRandom,
  keys: readonly Key[],
  prefix: Key,
  { reverseTellsPrefix }: Traits,
): Selector {
  const [a, b] = [random.pick(keys), random.pick(keys)];
  const [start, end] = packKey(a) < packKey(b) ? [a, b] : [b, a];
  switch (random.int(0, 4)) {
    case 0:
      return { prefix };
    case 1:
      return { prefix: reverseTellsPrefix ? prefix : random.pick(keys) };
    case 2:
      return { prefix, start };
    case 3:
      return { prefix, end };
    default:
      return { start, end };
  }
}

/** An entry without what clients may do in their own way: classes of bytes, order of properties. */
function plain({ key, value, versionstamp }: Entry): unknown[] {
  return [[...key], value === null ? null : [...value as Uint8Array], versionstamp];
}

const expiries: Record<string, Proof> = {
  async "what has just expired is still there, and stands in the way of a check of absence"(
    { kv, key },
  ) {
    await kv.atomic().set(key(), bytes(1), { expireIn: 1 }).commit();
    assert.deepEqual([...(await kv.get(key())).value as Uint8Array], [1]);
    const result = await kv.atomic().check({ key: key(), versionstamp: null }).commit();
    assert.deepEqual(result, { ok: false });
  },

  async "expireIn takes whole milliseconds, up to centuries"({ kv, key, throws }) {
    const set = (expireIn: number) => kv.atomic().set(key(), bytes(), { expireIn }).commit();
    assert.equal((await set(100 * 366 * 86_400_000)).ok, true);
    await throws("expireIn", () => set(-1));
    for (const wrong of [1.5, NaN]) await assert.rejects(async () => await set(wrong));
    assert.equal((await kv.atomic().set(key(), bytes(), {}).commit()).ok, true);
  },
};

const watches: Record<string, Proof> = {
  async "a watch tells at once what is there, also that nothing is"({ kv, key, put }) {
    const stamp = await put(key("a"));
    await watching(kv, [key("a"), key("nothing")], async (next) => {
      const entries = await next();
      assert.deepEqual(entries.map((entry) => entry.key), [key("a"), key("nothing")]);
      assert.deepEqual(entries.map((entry) => entry.versionstamp), [stamp, null]);
      assert.deepEqual([...entries[0]?.value as Uint8Array], [1]);
      assert.equal(entries[1]?.value, null);
    });
  },

  async "a watch tells of a set, of a set to the same value, and of a delete"(
    { kv, key, put },
  ) {
    await watching(kv, [key()], async (next) => {
      assert.equal((await next())[0]?.versionstamp, null);
      const first = await put(key());
      assert.equal((await next())[0]?.versionstamp, first);
      const second = await put(key());
      assert.equal((await next())[0]?.versionstamp, second);
      await kv.atomic().delete(key()).commit();
      assert.deepEqual(await next(), [{ key: key(), value: null, versionstamp: null }]);
    });
  },

  async "every event shows all watched keys, in their order"({ kv, key, put }) {
    const first = await put(key("a"), key("b"));
    await watching(kv, [key("b"), key("a")], async (next) => {
      assert.deepEqual((await next()).map((entry) => entry.versionstamp), [first, first]);
      const second = await put(key("a"));
      const entries = await next();
      assert.deepEqual(entries.map((entry) => entry.key), [key("b"), key("a")]);
      assert.deepEqual(entries.map((entry) => entry.versionstamp), [first, second]);
    });
  },

  async "after many changes the last state is told in the end"({ kv, key, put }) {
    await watching(kv, [key()], async (next) => {
      await next();
      let last = "";
      for (let n = 0; n < 20; n++) last = await put(key());
      // One event may be read for each change, or one for all of them: no number is promised.
      while ((await next())[0]?.versionstamp !== last);
    });
  },

  async "a watch ends when its reader cancels it, and can be read in a loop"({ kv, key, put }) {
    const stamp = await put(key());
    for await (const [entry] of kv.watch([key()])) {
      assert.equal(entry?.versionstamp, stamp);
      break;
    }
    const reader = kv.watch([key()]).getReader();
    await reader.read();
    const pending = reader.read();
    await reader.cancel();
    assert.equal((await pending).done, true);
  },

  async "two watches of a key are told alike"({ kv, key, put }) {
    await watching(kv, [key()], async (next) => {
      await watching(kv, [key()], async (nextOfOther) => {
        await Promise.all([next(), nextOfOther()]);
        const stamp = await put(key());
        const told = await Promise.all([next(), nextOfOther()]);
        assert.deepEqual(told.map(([entry]) => entry?.versionstamp), [stamp, stamp]);
      });
    });
  },
};

async function watching(
  kv: KvPort,
  keys: readonly Key[],
  act: (next: () => Promise<Entry[]>) => Promise<void>,
): Promise<void> {
  const reader = kv.watch(keys).getReader();
  try {
    await act(async () => {
      const { done, value } = await reader.read();
      assert(!done && value !== undefined, "the watch goes on");
      return value;
    });
  } finally {
    await reader.cancel();
  }
}

const connections: Record<string, Proof> = {
  async "what one connection commits, another one sees and checks"(
    { kv, key, put, reopen },
  ) {
    const stamp = await put(key());
    const other = await reopen();
    try {
      assert.equal((await other.get(key())).versionstamp, stamp);
      const check = { key: key(), versionstamp: stamp };
      assert.equal((await other.atomic().check(check).set(key(), bytes(2)).commit()).ok, true);
      assert.equal((await kv.atomic().check(check).set(key(), bytes(3)).commit()).ok, false);
      assert.deepEqual([...(await kv.get(key())).value as Uint8Array], [2]);
    } finally {
      other.close();
    }
  },
};

const closings: Record<string, Proof> = {
  async "after close() every call is refused, and so is a second close()"(
    { key, throws, reopen, traits },
  ) {
    const kv = await reopen();
    const atomic = kv.atomic().set(key(), bytes());
    kv.close();
    await throws("closed", () => kv.get(key()));
    await throws("closed", () => kv.getMany([key()]));
    await throws("closed", () => atomic.commit());
    await throws("closed", () => kv.watch([key()]));
    await throws("closed", () => kv.close());
    if (traits.closedListThrows === "at once") {
      await throws("closed", () => kv.list({ prefix: key() }));
    } else {
      const listing = kv.list({ prefix: key() });
      await throws("closed", () => listing.next());
    }
  },

  async "an atomic operation can be built after close()"({ key, reopen }) {
    const kv = await reopen();
    kv.close();
    kv.atomic().check({ key: key(), versionstamp: null }).set(key(), bytes()).delete(key());
  },

  async "close() ends the streams of watch, where it does"({ key, reopen, traits }) {
    const kv = await reopen();
    const reader = kv.watch([key()]).getReader();
    await reader.read();
    if (traits.closeEndsWatches) {
      const pending = reader.read();
      kv.close();
      assert.equal((await pending).done, true);
    } else {
      // Elsewhere a reader would wait for ever, and may keep the process alive: so cancel first.
      await reader.cancel();
      kv.close();
    }
  },

  async "what is under way when close() is called comes to an end, well or not"(
    { key, reopen },
  ) {
    const kv = await reopen();
    const calls = [kv.get(key()), kv.atomic().set(key(), bytes()).commit()];
    kv.close();
    assert.equal((await Promise.allSettled(calls)).length, 2);
  },
};
