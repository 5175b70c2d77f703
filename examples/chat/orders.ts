/** What a page may say. Anything else is ignored. */

export type Order =
  | { readonly type: 'name'; readonly name: string }
  | { readonly type: 'say'; readonly text: string }
  | { readonly type: 'like'; readonly id: number }
  | { readonly type: 'ping'; readonly n: number }

const NAME_LENGTH = 24
const TEXT_LENGTH = 500

export function orderOf(data: unknown): Order | undefined {
  let said: Record<string, unknown>
  try {
    said = JSON.parse(String(data)) as Record<string, unknown>
  } catch {
    return undefined
  }
  switch (said?.['type']) {
    case 'name':
      return isText(said['name'], NAME_LENGTH) ? { type: 'name', name: said['name'].trim() } : undefined
    case 'say':
      return isText(said['text'], TEXT_LENGTH) ? { type: 'say', text: said['text'].trim() } : undefined
    case 'like':
      return Number.isSafeInteger(said['id']) ? { type: 'like', id: said['id'] as number } : undefined
    case 'ping':
      return Number.isSafeInteger(said['n']) ? { type: 'ping', n: said['n'] as number } : undefined
    default:
      return undefined
  }
}

const isText = (value: unknown, most: number): value is string =>
  typeof value === 'string' && value.trim() !== '' && value.length <= most
