// The API as toxiproxy-node-client sees it: node_client.js API-PORT TARGET.
"use strict";
const assert = require("assert");
const net = require("net");
const { Toxiproxy, Toxic } = require("toxiproxy-node-client");

const [port, target] = process.argv.slice(2);

// What comes back through the proxy, and after how many milliseconds; "" where it is cut.
function echo(proxy) {
    const [host, number] = [proxy.listen.slice(0, proxy.listen.lastIndexOf(":")), proxy.listen.split(":").pop()];
    const begun = Date.now();
    return new Promise((resolve) => {
        const socket = net.connect(Number(number), host, () => socket.write("hello"));
        const end = (text) => { socket.destroy(); resolve([text, Date.now() - begun]); };
        socket.on("data", (data) => end(data.toString()));
        socket.on("error", () => end(""));
        socket.on("end", () => end(""));
    });
}

(async () => {
    const server = new Toxiproxy(`http://127.0.0.1:${port}`);
    await server.getVersion();
    const proxy = await server.createProxy({ name: "echo", listen: "127.0.0.1:0", upstream: target });
    assert.strictEqual((await echo(proxy))[0], "hello");
    await assert.rejects(server.createProxy({ name: "echo", listen: "127.0.0.1:0", upstream: target }));

    const body = { name: "slow", type: "latency", stream: "downstream", toxicity: 1, attributes: { latency: 150, jitter: 0 } };
    const toxic = await proxy.addToxic(body);
    assert.deepStrictEqual(toxic.attributes, { latency: 150, jitter: 0 });
    assert((await echo(proxy))[1] >= 150);
    const changed = await toxic.update({ ...body, attributes: { latency: 1 } });
    assert.deepStrictEqual(changed.attributes, { latency: 1, jitter: 0 });
    assert.strictEqual((await proxy.getToxic("slow")).toxicity, 1);
    await toxic.remove();
    await assert.rejects(proxy.getToxic("slow"));
    await proxy.addToxic({ name: "cut", type: "reset_peer", stream: "downstream", toxicity: 1, attributes: { timeout: 0 } });
    assert.strictEqual((await echo(proxy))[0], "");

    const off = await proxy.update({ enabled: false, listen: proxy.listen, upstream: proxy.upstream });
    assert.strictEqual(off.enabled, false);
    await server.reset();
    assert.strictEqual((await echo(proxy))[0], "hello");

    const many = await server.populate([{ name: "a", listen: "127.0.0.1:0", upstream: target }]);
    assert.strictEqual((await echo(many.a))[0], "hello");
    for (const one of Object.values(await server.getAll())) await one.remove();
    assert.deepStrictEqual(await server.getAll(), {});
    console.log("ok");
})().catch((error) => { console.error(error); process.exit(1); });
