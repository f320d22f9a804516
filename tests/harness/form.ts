import type { Page } from 'playwright-core';

/**
 * Fills the fields with these test ids. A form puts the cursor into its first field when that comes into view, and a
 * robot types faster than that: what has landed in the wrong field is typed again.
 */
export async function fillForm(page: Page, values: Readonly<Record<string, string>>): Promise<void> {
  const fields = Object.entries(values).map(([testId, text]) => ({
    input: page.getByTestId(testId).locator('input'),
    text,
  }));
  const isAsWanted = async () => {
    const found = await Promise.all(fields.map(({ input }) => input.inputValue()));
    return fields.every(({ text }, index) => found[index] === text);
  };
  do for (const { input, text } of fields) await input.fill(text);
  while (!(await isAsWanted()));
}
