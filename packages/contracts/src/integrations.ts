import { z } from 'zod';

/** What Weights & Biases takes as the name of a project, and so of an entity: both are parts of its addresses. */
const pathName = z
  .string()
  .min(1)
  .max(128)
  .regex(/^[^/\\#?%:]*[^/\\#?%:.][^/\\#?%:]*$/, {
    error: "Expected a name without '/', '\\', '#', '?', '%' and ':', and not of dots alone.",
  });

/** Sends a job's figures to a run of Weights & Biases, whose server refuses longer names and tags. */
export const WandbIntegration = z.strictObject({
  type: z.literal('wandb', { error: "Supported values are: 'wandb'." }),
  wandb: z.strictObject({
    /** Made when there is none of that name. */
    project: pathName,
    /** The run's display name; the job's id when left out. */
    name: z.string().min(1).max(128).nullish(),
    /** Team or user that the run belongs to; that of the key when left out. */
    entity: pathName.nullish(),
    /** Of the run, besides `polymode/finetune`, `polymode/{base model}` and `polymode/{job id}`. */
    tags: z.array(z.string().min(1).max(64)).optional(),
  }),
});
export type WandbIntegration = z.infer<typeof WandbIntegration>;

/** Whom a job's figures are sent to. */
export const Integrations = z.array(WandbIntegration).max(5);
export type Integrations = z.infer<typeof Integrations>;
