// Serves a page of Next.js that is an API route, without Next.js: `node serve.mjs HANDLER PORT`.
// The handler is taken as it is but for its types, which node does not read. What it calls of its application is noted: a
// line of JSON each.
import { readFileSync, writeFileSync, mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [file, port] = process.argv.slice(2)
const source = readFileSync(file, 'utf8')
  .replace(/^import .* from 'next'$/m, '')
  .replace(/: NextApi(Request|Response)/g, '')
const plain = join(mkdtempSync(join(tmpdir(), 'handler-')), 'handler.mjs')
writeFileSync(plain, source)

const note = (called) => async (...given) => console.log(JSON.stringify([called, ...given]))
for (const name of ['updateProjectMedia', 'updateTestResult', 'notifyUser', 'logTaskFailure']) globalThis[name] = note(name)
console.error = () => {}
const log = console.log
console.log = (line) => line.startsWith('[') && log(line)

const { default: handler } = await import(plain)
createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks).toString()
  const res = {
    status: (code) => { response.statusCode = code; return res },
    json: (content) => response.setHeader('Content-Type', 'application/json').end(JSON.stringify(content)),
  }
  await handler({ method: request.method, body: body ? JSON.parse(body) : undefined }, res)
}).listen(Number(port), '127.0.0.1')
