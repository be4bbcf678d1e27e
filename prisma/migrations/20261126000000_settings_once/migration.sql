-- They are in `method` too, and nothing reads them here.
ALTER TABLE "fine_tuning_jobs" DROP COLUMN "hyperparameters";
