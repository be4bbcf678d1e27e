-- Tokens of completions that a key may have in a minute.
ALTER TABLE "api_keys" ADD COLUMN "tokens_per_minute" INTEGER;
