// Serves a page of Next.js that is an API route, of either router, without Next.js: `node serve.mjs HANDLER PORT`.
// The handler is taken as it is but for its types, which node does not read. What it calls of its application is noted: a
// line of JSON each.
import { readFileSync, writeFileSync, mkdtempSync } from 'node:fs'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

const [file, port] = process.argv.slice(2)
const source = readFileSync(file, 'utf8')
  .replace(/^import .* from 'next'$/m, '')
  .replace(/: (NextApi)?(Request|Response)\b/g, '')
const plain = join(mkdtempSync(join(tmpdir(), 'handler-')), 'handler.mjs')
writeFileSync(plain, source)

const note = (called) => async (...given) => console.log(JSON.stringify([called, ...given]))
for (const name of ['updateProjectMedia', 'updateTestResult', 'notifyUser', 'logTaskFailure', 'updateDepartment']) globalThis[name] = note(name)
console.error = () => {}
const log = console.log
console.log = (line) => line.startsWith('[') && log(line)

const { default: handler, POST } = await import(plain)
createServer(async (request, response) => {
  const chunks = []
  for await (const chunk of request) chunks.push(chunk)
  const body = Buffer.concat(chunks).toString()
  const res = {
    status: (code) => { response.statusCode = code; return res },
    json: (content) => response.setHeader('Content-Type', 'application/json').end(JSON.stringify(content)),
  }
  if (POST && request.method !== 'POST') return res.status(405).json({})
  if (POST) {
    const answer = await POST(new Request('http://here', { method: 'POST', body }))
    return res.status(answer.status).json(await answer.json())
  }
  await handler({ method: request.method, body: body ? JSON.parse(body) : undefined }, res)
}).listen(Number(port), '127.0.0.1')
