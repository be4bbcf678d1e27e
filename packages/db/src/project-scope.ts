/** For those who work for every project, such as workers and housekeepers. */
export const anyProject = Symbol('any project');

/** Whose rows a query sees: one project's, or, said aloud, everybody's. */
export type ProjectScope = string | typeof anyProject;

/** The condition on a table that has `projectId`. */
export function inProject(scope: ProjectScope): { projectId?: string } {
  return scope === anyProject ? {} : { projectId: scope };
}
