CREATE TYPE "key_scope" AS ENUM ('read', 'write', 'admin');

CREATE TYPE "upload_status" AS ENUM ('pending', 'completed', 'cancelled');

ALTER TYPE "job_status" ADD VALUE 'paused';

DROP INDEX "files_purpose_seq_idx";

ALTER TABLE "api_keys" ADD COLUMN "project_id" TEXT,
ADD COLUMN "requests_per_minute" INTEGER,
ADD COLUMN "scope" "key_scope",
ADD COLUMN "seq" BIGSERIAL NOT NULL;

ALTER TABLE "checkpoints" ADD COLUMN "deleted_at" TIMESTAMPTZ(3);

ALTER TABLE "files" ADD COLUMN "project_id" TEXT;

ALTER TABLE "fine_tuning_jobs" ADD COLUMN "base_model" TEXT,
ADD COLUMN "estimated_finish_at" TIMESTAMPTZ(3),
ADD COLUMN "model_deleted_at" TIMESTAMPTZ(3),
ADD COLUMN "project_id" TEXT,
ADD COLUMN "request_hash" CHAR(64),
ADD COLUMN "start_checkpoint_id" TEXT;

CREATE TABLE "organizations" (
    "id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "organizations_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "projects" (
    "id" TEXT NOT NULL,
    "seq" BIGSERIAL NOT NULL,
    "organization_id" TEXT NOT NULL,
    "name" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "archived_at" TIMESTAMPTZ(3),

    CONSTRAINT "projects_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "uploads" (
    "id" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "filename" TEXT NOT NULL,
    "purpose" TEXT NOT NULL,
    "mime_type" TEXT NOT NULL,
    "bytes" BIGINT NOT NULL,
    "status" "upload_status" NOT NULL DEFAULT 'pending',
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "expires_at" TIMESTAMPTZ(3) NOT NULL,
    "file_expires_after" INTEGER,
    "file_id" TEXT,
    "cleared" BOOLEAN NOT NULL DEFAULT false,

    CONSTRAINT "uploads_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "upload_parts" (
    "id" TEXT NOT NULL,
    "upload_id" TEXT NOT NULL,
    "bytes" BIGINT NOT NULL,
    "storage_key" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "upload_parts_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "samples" (
    "job_id" TEXT NOT NULL,
    "step" INTEGER NOT NULL,
    "index" INTEGER NOT NULL,
    "row" INTEGER NOT NULL,
    "text" TEXT NOT NULL,
    "reward" DOUBLE PRECISION,
    "outcome" TEXT,
    "advantage" DOUBLE PRECISION NOT NULL,
    "tokens" INTEGER NOT NULL,
    "finish" TEXT NOT NULL,

    CONSTRAINT "samples_pkey" PRIMARY KEY ("job_id","step","index")
);

CREATE TABLE "checkpoint_permissions" (
    "id" TEXT NOT NULL,
    "seq" BIGSERIAL NOT NULL,
    "checkpoint_id" TEXT NOT NULL,
    "project_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "checkpoint_permissions_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "audit_events" (
    "id" TEXT NOT NULL,
    "seq" BIGSERIAL NOT NULL,
    "organization_id" TEXT NOT NULL,
    "project_id" TEXT,
    "type" TEXT NOT NULL,
    "actor" TEXT NOT NULL,
    "data" JSONB NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "audit_events_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "webhook_endpoints" (
    "id" TEXT NOT NULL,
    "seq" BIGSERIAL NOT NULL,
    "project_id" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "secret" TEXT NOT NULL,
    "events" TEXT[],
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "webhook_endpoints_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "webhook_deliveries" (
    "id" TEXT NOT NULL,
    "endpoint_id" TEXT NOT NULL,
    "type" TEXT NOT NULL,
    "job_id" TEXT NOT NULL,
    "created_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,
    "attempts" INTEGER NOT NULL DEFAULT 0,
    "next_attempt_at" TIMESTAMPTZ(3) DEFAULT CURRENT_TIMESTAMP,
    "delivered_at" TIMESTAMPTZ(3),
    "last_error" TEXT,

    CONSTRAINT "webhook_deliveries_pkey" PRIMARY KEY ("id")
);

CREATE TABLE "inference_workers" (
    "id" TEXT NOT NULL,
    "url" TEXT NOT NULL,
    "token" TEXT NOT NULL,
    "models" TEXT[] DEFAULT ARRAY[]::TEXT[],
    "heartbeat_at" TIMESTAMPTZ(3) NOT NULL DEFAULT CURRENT_TIMESTAMP,

    CONSTRAINT "inference_workers_pkey" PRIMARY KEY ("id")
);

-- What is there already belongs to one project: the first of the organization that the jobs name.
INSERT INTO "organizations" ("id")
SELECT DISTINCT "organization_id" FROM "fine_tuning_jobs"
UNION
SELECT 'polymode' WHERE NOT EXISTS (SELECT FROM "fine_tuning_jobs")
    AND (EXISTS (SELECT FROM "files") OR EXISTS (SELECT FROM "api_keys"));
INSERT INTO "projects" ("id", "organization_id", "name")
SELECT 'proj_' || substr(md5("id"), 1, 24), "id", 'Default' FROM "organizations" ORDER BY "id";
UPDATE "fine_tuning_jobs" SET "base_model" = "model",
    "project_id" = (SELECT "id" FROM "projects" WHERE "organization_id" = "fine_tuning_jobs"."organization_id");
UPDATE "files" SET "project_id" = COALESCE(
    (SELECT "project_id" FROM "fine_tuning_jobs" WHERE "training_file_id" = "files"."id" OR "validation_file_id" = "files"."id" LIMIT 1),
    (SELECT "id" FROM "projects" ORDER BY "seq" LIMIT 1));
UPDATE "api_keys" SET "scope" = 'admin', "project_id" = (SELECT "id" FROM "projects" ORDER BY "seq" LIMIT 1);
ALTER TABLE "fine_tuning_jobs" ALTER COLUMN "project_id" SET NOT NULL, ALTER COLUMN "base_model" SET NOT NULL;
ALTER TABLE "files" ALTER COLUMN "project_id" SET NOT NULL;
ALTER TABLE "api_keys" ALTER COLUMN "project_id" SET NOT NULL, ALTER COLUMN "scope" SET NOT NULL;
CREATE UNIQUE INDEX "projects_seq_key" ON "projects"("seq");
CREATE INDEX "projects_organization_id_seq_idx" ON "projects"("organization_id", "seq" DESC);
CREATE INDEX "uploads_cleared_expires_at_idx" ON "uploads"("cleared", "expires_at");
CREATE UNIQUE INDEX "upload_parts_storage_key_key" ON "upload_parts"("storage_key");
CREATE INDEX "upload_parts_upload_id_idx" ON "upload_parts"("upload_id");
CREATE UNIQUE INDEX "checkpoint_permissions_seq_key" ON "checkpoint_permissions"("seq");
CREATE INDEX "checkpoint_permissions_project_id_idx" ON "checkpoint_permissions"("project_id");
CREATE UNIQUE INDEX "checkpoint_permissions_checkpoint_id_project_id_key" ON "checkpoint_permissions"("checkpoint_id", "project_id");
CREATE UNIQUE INDEX "audit_events_seq_key" ON "audit_events"("seq");
CREATE INDEX "audit_events_organization_id_seq_idx" ON "audit_events"("organization_id", "seq" DESC);
CREATE UNIQUE INDEX "webhook_endpoints_seq_key" ON "webhook_endpoints"("seq");
CREATE INDEX "webhook_endpoints_project_id_seq_idx" ON "webhook_endpoints"("project_id", "seq");
CREATE INDEX "webhook_deliveries_next_attempt_at_idx" ON "webhook_deliveries"("next_attempt_at");
CREATE INDEX "webhook_deliveries_endpoint_id_idx" ON "webhook_deliveries"("endpoint_id");
CREATE INDEX "inference_workers_heartbeat_at_idx" ON "inference_workers"("heartbeat_at");
CREATE UNIQUE INDEX "api_keys_seq_key" ON "api_keys"("seq");
CREATE INDEX "api_keys_project_id_seq_idx" ON "api_keys"("project_id", "seq");
CREATE INDEX "files_project_id_seq_idx" ON "files"("project_id", "seq" DESC);
CREATE INDEX "fine_tuning_jobs_project_id_seq_idx" ON "fine_tuning_jobs"("project_id", "seq" DESC);
CREATE INDEX "fine_tuning_jobs_start_checkpoint_id_idx" ON "fine_tuning_jobs"("start_checkpoint_id");
ALTER TABLE "projects" ADD CONSTRAINT "projects_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organizations"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "files" ADD CONSTRAINT "files_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "uploads" ADD CONSTRAINT "uploads_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "upload_parts" ADD CONSTRAINT "upload_parts_upload_id_fkey" FOREIGN KEY ("upload_id") REFERENCES "uploads"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "fine_tuning_jobs" ADD CONSTRAINT "fine_tuning_jobs_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "fine_tuning_jobs" ADD CONSTRAINT "fine_tuning_jobs_start_checkpoint_id_fkey" FOREIGN KEY ("start_checkpoint_id") REFERENCES "checkpoints"("id") ON DELETE SET NULL ON UPDATE CASCADE;
ALTER TABLE "samples" ADD CONSTRAINT "samples_job_id_fkey" FOREIGN KEY ("job_id") REFERENCES "fine_tuning_jobs"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "checkpoint_permissions" ADD CONSTRAINT "checkpoint_permissions_checkpoint_id_fkey" FOREIGN KEY ("checkpoint_id") REFERENCES "checkpoints"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "checkpoint_permissions" ADD CONSTRAINT "checkpoint_permissions_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "api_keys" ADD CONSTRAINT "api_keys_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "audit_events" ADD CONSTRAINT "audit_events_organization_id_fkey" FOREIGN KEY ("organization_id") REFERENCES "organizations"("id") ON DELETE RESTRICT ON UPDATE CASCADE;
ALTER TABLE "webhook_endpoints" ADD CONSTRAINT "webhook_endpoints_project_id_fkey" FOREIGN KEY ("project_id") REFERENCES "projects"("id") ON DELETE CASCADE ON UPDATE CASCADE;
ALTER TABLE "webhook_deliveries" ADD CONSTRAINT "webhook_deliveries_endpoint_id_fkey" FOREIGN KEY ("endpoint_id") REFERENCES "webhook_endpoints"("id") ON DELETE CASCADE ON UPDATE CASCADE;
