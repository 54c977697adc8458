import type { Comparison, Condition, Test } from '../condition.js'
import type { Constant } from '../value.js'

/**
 * Rules that differ only in the constants that they ask for by equality, such
 * as a thousand addresses. Rule `rules[i]` asks test `t` of `columns` for
 * `constants[i][t]` instead of the constant of the test itself.
 */
export interface Shape {
  /** Ascending. */
  readonly rules: readonly number[]
  /** The condition of the first rule. */
  readonly condition: Condition
  /** Its equations with a constant, in the order of the condition. */
  readonly columns: readonly Equation[]
  readonly constants: readonly (readonly number[])[]
}

/** A test `left = constant`. */
export type Equation = Comparison & { readonly operator: '='; readonly right: Constant }

/**
 * The shapes of a list of rules, in the order of their first rules. In all
 * rules of one shape the same constants of one value are equal to each other,
 * so that what follows from one answer about another does in all of them.
 */
export function shapesOf(conditions: readonly Condition[]): Shape[] {
  const shapes = new Map<string, Shape & { rules: number[]; constants: number[][] }>()
  conditions.forEach((condition, rule) => {
    const { key, columns } = outlineOf(condition)
    let shape = shapes.get(key)
    if (shape === undefined) {
      shape = { rules: [], condition, columns, constants: [] }
      shapes.set(key, shape)
    }
    shape.rules.push(rule)
    shape.constants.push(columns.map(({ right }) => right.value))
  })
  return [...shapes.values()]
}

/** A test that compares with a constant for equality; null for any other. */
export function asEquation(test: Test): Equation | null {
  return test.operator === '=' && test.right.kind === 'constant' ? (test as Equation) : null
}

/** The condition as text with a number for each constant: which of the constants that its value is compared with. */
function outlineOf(condition: Condition): { readonly key: string; readonly columns: readonly Equation[] } {
  const columns: Equation[] = []
  const seen = new Map<string, number[]>()
  const ordinal = ({ left, right }: Equation): number => {
    const constants = seen.get(left.key) ?? []
    seen.set(left.key, constants)
    const known = constants.indexOf(right.value)
    return known >= 0 ? known : constants.push(right.value) - 1
  }
  const outline = (part: Condition): string => {
    switch (part.kind) {
      case 'always':
        return String(part.value)
      case 'not':
        return `!${outline(part.operand)}`
      case 'all':
      case 'any':
        return `${part.kind}(${part.operands.map(outline).join(' ')})`
      case 'test': {
        const equation = asEquation(part.test)
        if (equation === null) return part.test.key
        columns.push(equation)
        return `${equation.left.key}=#${ordinal(equation)}`
      }
    }
  }
  return { key: outline(condition), columns }
}
