/**
 * A TCP proxy that does wrong what a network does wrong. It stands before a denokv server; the endpoints that the server
 * names are relative to where it was asked, so every request comes through here.
 *
 * | fault | the client sends | the server sees | the client gets |
 * |---|---|---|---|
 * | `delay` | a request | it, later | the answer, later |
 * | `lose request` | a request | nothing | a reset |
 * | `lose answer` | a request | it, and applies it | a reset instead of the answer |
 * | `half close` | a request | it | a part of the answer, and the end of the stream |
 * | `blackhole` | a request | nothing | nothing, until the connection is given up |
 *
 * @module
 */

import { createServer, type Server, Socket } from "node:net";

/** What can go wrong with one request. */
export type NetworkFault = "delay" | "lose request" | "lose answer" | "half close" | "blackhole";

/** Decides what happens to the next request; null lets it through. */
export type FaultChooser = () => NetworkFault | null;

const DELAY_MS_MAX = 300;

/** A proxy before one port of the loopback. */
export class TcpProxy {
  /** Whether new and old connections get no answer at all. */
  isBlackhole = false;
  readonly counts = new Map<NetworkFault, number>();
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #timers = new Set<ReturnType<typeof setTimeout>>();
  #choose: FaultChooser;
  #port = 0;

  private constructor(target: number, choose: FaultChooser) {
    this.#choose = choose;
    this.#server = createServer((client) => this.#connect(client, target));
  }

  /** Begins to listen before `target`. */
  static async start(target: number, choose: FaultChooser = () => null): Promise<TcpProxy> {
    const proxy = new TcpProxy(target, choose);
    await new Promise<void>((resolve) => proxy.#server.listen(0, "127.0.0.1", resolve));
    const address = proxy.#server.address();
    proxy.#port = typeof address === "object" && address !== null ? address.port : 0;
    return proxy;
  }

  get url(): string {
    return `http://127.0.0.1:${this.#port}`;
  }

  /** Changes what goes wrong from now on. */
  choose(choose: FaultChooser): void {
    this.#choose = choose;
  }

  /** Cuts every connection. */
  cut(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  #connect(client: Socket, target: number): void {
    const server = new Socket();
    server.connect(target, "127.0.0.1");
    for (const socket of [client, server]) {
      this.#sockets.add(socket);
      socket.setNoDelay(true);
      socket.on("error", () => {});
      socket.on("close", () => this.#sockets.delete(socket));
    }
    let fault: NetworkFault | null = null;
    const reset = () => {
      client.resetAndDestroy();
      server.destroy();
    };
    client.on("data", (bytes) => {
      if (this.isBlackhole) return;
      // A request begins with its method; what follows in other pieces shares its fate.
      if (bytes.subarray(0, 5).toString("latin1") === "POST ") {
        fault = this.#choose();
        if (fault !== null) this.counts.set(fault, (this.counts.get(fault) ?? 0) + 1);
      }
      if (fault === "lose request") reset();
      else if (fault === "delay") this.#later(() => server.write(bytes));
      else if (fault !== "blackhole") server.write(bytes);
    });
    server.on("data", (bytes) => {
      if (this.isBlackhole) return;
      if (fault === "lose answer") reset();
      else if (fault === "half close") client.end(bytes.subarray(0, bytes.length >> 1));
      else if (fault === "delay") this.#later(() => client.write(bytes));
      else client.write(bytes);
    });
    client.on("close", () => server.destroy());
    server.on("close", () => {
      if (!this.isBlackhole) client.destroy();
    });
  }

  /** One delay for all pieces, so that none overtakes another. */
  #later(act: () => void): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      act();
    }, DELAY_MS_MAX);
    this.#timers.add(timer);
  }

  /** Ends it and its connections. */
  async stop(): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
