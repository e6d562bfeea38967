/** Lint finds defects; form is prettier's, and who may import whom is `test/architecture.test.ts`. */
import js from '@eslint/js';
import { globalIgnores } from 'eslint/config';
import tseslint from 'typescript-eslint';

export default tseslint.config(
  globalIgnores(['**/dist/', 'docs/', '.tap/']),
  { linterOptions: { reportUnusedDisableDirectives: 'off' } },
  js.configs.recommended,
  tseslint.configs.recommended,
  {
    files: ['**/*.ts'],
    languageOptions: { parserOptions: { projectService: true } },
    rules: {
      // Rules that need types: those that find what neither the compiler nor a reader sees.
      '@typescript-eslint/no-floating-promises': 'error',
      '@typescript-eslint/await-thenable': 'error',
      '@typescript-eslint/switch-exhaustiveness-check': ['error', { considerDefaultExhaustiveForUnions: true }],
      '@typescript-eslint/only-throw-error': 'error',
      '@typescript-eslint/prefer-promise-reject-errors': 'error',
      '@typescript-eslint/no-unused-vars': ['error', { argsIgnorePattern: '^_', varsIgnorePattern: '^_' }],
      // `!` is how an index that was checked is said under noUncheckedIndexedAccess.
      '@typescript-eslint/no-non-null-assertion': 'off',
      // A field may be there only to hold a reference.
      'no-unused-private-class-members': 'off',
      eqeqeq: 'error',
      // Octets are what this program is about.
      'no-control-regex': 'off',
      'no-console': 'error',
    },
  },
  {
    // tap awaits subtests by itself.
    files: ['test/**/*.ts'],
    rules: { '@typescript-eslint/no-floating-promises': 'off', 'no-console': 'off' },
  },
  {
    files: ['test/**/*.ts'],
    ignores: ['test/fixtures/properties.ts'],
    rules: {
      'no-restricted-imports': ['error', { name: 'fast-check', message: 'Take it from test/fixtures/properties.ts.' }],
    },
  },
  {
    files: ['**/*.js', '**/*.mjs'],
    languageOptions: { globals: { process: 'readonly', console: 'readonly', URL: 'readonly' } },
  },
);
