/** What the app throws where nothing can be refused any more is uncaught, as ever, but keeps nobody else from going on. */
export function apart(run: () => void): void {
  try {
    run()
  } catch (error) {
    process.nextTick(() => {
      throw error
    })
  }
}
