ALTER TABLE "fine_tuning_jobs" ADD COLUMN "integrations" JSONB;

CREATE TABLE "wandb_runs" (
    "job_id" TEXT NOT NULL,
    "index" INTEGER NOT NULL,
    "entity" TEXT,
    "project" TEXT,
    "sent_step" INTEGER NOT NULL DEFAULT 0,
    "sent_at" TIMESTAMPTZ(3),
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3) DEFAULT CURRENT_TIMESTAMP,
    "last_error" TEXT,

    CONSTRAINT "wandb_runs_pkey" PRIMARY KEY ("job_id","index"),
    CONSTRAINT "wandb_runs_job_id_fkey" FOREIGN KEY ("job_id")
        REFERENCES "fine_tuning_jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE
);
CREATE INDEX "wandb_runs_next_attempt_at_idx" ON "wandb_runs"("next_attempt_at");
