/**
 * The demo's report: one HTML file without scripts or outside resources, with the training curves and the outcome
 * histograms of both algorithms side by side.
 */
export interface DemoMetrics {
  readonly validity: number;
  readonly uniqueness: number;
  readonly recovery: number;
  readonly top_outcome_share: number;
  readonly l1_to_target: number;
}

export interface Curve {
  readonly label: string;
  readonly color: string;
  readonly points: readonly { readonly step: number; readonly value: number }[];
}

export interface OutcomeHistogram {
  /** the observation, as rows of the top view */
  readonly topView: readonly string[];
  /** how often each admissible outcome was sampled, in a fixed order of outcomes */
  readonly counts: readonly number[];
  /** samples that were no admissible outcome */
  readonly wrong: number;
}

export interface ReportRun {
  readonly label: string;
  readonly color: string;
  readonly metrics: DemoMetrics;
  readonly checkpoint: { readonly path: string; readonly sha256: string };
  readonly histograms: readonly OutcomeHistogram[];
  readonly curves: Readonly<Record<string, readonly { readonly step: number; readonly value: number }[]>>;
}

export interface ReportData {
  readonly seed: number;
  readonly steps: number;
  readonly groupSize: number;
  readonly promptsPerStep: number;
  readonly heldOut: number;
  readonly samplesPerInstance: number;
  readonly runs: readonly ReportRun[];
  readonly ideal: DemoMetrics;
}

/** The charts, by the name of the curve they show. */
const CHARTS: readonly { key: string; title: string; note: string }[] = [
  { key: 'reward', title: 'Right answers', note: 'mean reward of sampled completions, training prompts' },
  { key: 'unique', title: 'Different outcomes', note: 'distinct outcomes in a group ÷ group size' },
  { key: 'top', title: 'Commonest outcome', note: 'share of a group that gave its commonest outcome' },
  { key: 'flat', title: 'Groups without spread', note: 'share of groups that gave no gradient' },
];

export const METRIC_ROWS: readonly { key: keyof DemoMetrics; label: string; note: string }[] = [
  { key: 'validity', label: 'Validity', note: 'share of samples that are right' },
  { key: 'uniqueness', label: 'Uniqueness', note: 'distinct outcomes ÷ samples' },
  { key: 'recovery', label: 'Recovery', note: 'share of all right answers that were found' },
  { key: 'top_outcome_share', label: 'Top outcome share', note: 'share of the commonest outcome' },
  { key: 'l1_to_target', label: 'ℓ1 to target', note: 'distance from the reward-proportional distribution, 0 to 2' },
];

export function renderReport(data: ReportData): string {
  const { runs, ideal } = data;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Polymode demo: ${runs.map((r) => escapeHtml(r.label)).join(' and ')}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
<h1>One model, two ways to reward it</h1>
<p class="lead">Each prompt shows a 3×3 top view of a block structure and has 27 right answers. Both jobs start from the same
base model with the same seed and budget: ${data.steps} steps of ${data.promptsPerStep} prompts × ${data.groupSize} completions.
They are measured on ${data.heldOut} views that neither has seen, ${data.samplesPerInstance} samples each.</p>
${metricsTable(runs, ideal)}
<h2>While training</h2>
<p class="legend">${runs.map((r) => `<span><i style="background:${r.color}"></i>${escapeHtml(r.label)}</span>`).join(' ')}</p>
<div class="grid">
${CHARTS.map(({ key, title, note }) =>
  lineChart(
    title,
    note,
    runs.map((r) => ({ label: r.label, color: r.color, points: r.curves[key] ?? [] })),
  ),
).join('\n')}
</div>
<h2>What each policy answers</h2>
<p>Held-out views, one bar for each of the 27 right answers in the same order for both. The dashed line is the target: every right
answer equally often. The last, grey bar counts wrong answers.</p>
<div class="pairs">
${(runs[0]?.histograms ?? []).map((_, i) => histogramPair(runs, i)).join('\n')}
</div>
<h2>Checkpoints</h2>
<ul class="files">
${runs.map((r) => `<li><b>${escapeHtml(r.label)}</b> <code>${escapeHtml(r.checkpoint.path)}</code><br><small>sha256 ${r.checkpoint.sha256}</small></li>`).join('\n')}
</ul>
<footer>Seed ${data.seed}. IPS-GRPO: arXiv 2601.21669. The ideal column is the expected result of drawing as many samples
uniformly from the right answers.</footer>
</main>
</body>
</html>
`;
}

function metricsTable(runs: readonly ReportRun[], ideal: DemoMetrics): string {
  const head = runs.map((r) => `<th>${escapeHtml(r.label)}</th>`).join('');
  const rows = METRIC_ROWS.map(({ key, label, note }) => {
    const cells = runs.map((r) => `<td>${r.metrics[key].toFixed(3)}</td>`).join('');
    return `<tr><th scope="row">${label}<small>${note}</small></th>${cells}<td class="ideal">${ideal[key].toFixed(3)}</td></tr>`;
  });
  return `<table><thead><tr><th></th>${head}<th class="ideal">Ideal sampler</th></tr></thead><tbody>${rows.join('')}</tbody></table>`;
}

const CHART = { width: 420, height: 200, left: 38, right: 12, top: 10, bottom: 26 };

/** Curves of values between 0 and 1 over steps; thin lines are the values, thick ones their moving mean. */
function lineChart(title: string, note: string, curves: readonly Curve[]): string {
  const { width, height, left, right, top, bottom } = CHART;
  const last = Math.max(1, ...curves.flatMap((c) => c.points.map((p) => p.step)));
  const x = (step: number): number => left + ((width - left - right) * step) / last;
  const y = (value: number): number => top + (height - top - bottom) * (1 - value);
  const path = (points: Curve['points']): string =>
    points.map((p, i) => `${i === 0 ? 'M' : 'L'}${x(p.step).toFixed(1)},${y(p.value).toFixed(1)}`).join('');
  const grid = [0, 0.25, 0.5, 0.75, 1]
    .map(
      (v) =>
        `<line x1="${left}" x2="${width - right}" y1="${y(v)}" y2="${y(v)}" class="rule"/>` +
        `<text x="${left - 6}" y="${y(v) + 4}" class="tick end">${v}</text>`,
    )
    .join('');
  const ticks = [0, 0.25, 0.5, 0.75, 1]
    .map((f) => Math.round(f * last))
    .map((s) => `<text x="${x(s)}" y="${height - 8}" class="tick mid">${s}</text>`)
    .join('');
  const lines = curves
    .map(
      (c) =>
        `<path d="${path(c.points)}" stroke="${c.color}" class="raw"/>` +
        `<path d="${path(movingMean(c.points, 9))}" stroke="${c.color}" class="mean"/>`,
    )
    .join('');
  return `<figure><figcaption><b>${title}</b><small>${note}</small></figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${title} over training steps">${grid}${ticks}${lines}</svg></figure>`;
}

function movingMean(points: Curve['points'], window: number): Curve['points'] {
  const reach = Math.floor(window / 2);
  return points.map((p, i) => {
    const near = points.slice(Math.max(0, i - reach), i + reach + 1);
    return { step: p.step, value: near.reduce((s, q) => s + q.value, 0) / near.length };
  });
}

function histogramPair(runs: readonly ReportRun[], index: number): string {
  const histograms = runs.map((r) => r.histograms[index]!);
  const view = histograms[0]!.topView
    .map((row) => `<tr>${[...row].map((b) => `<td class="${b === '1' ? 'on' : ''}"></td>`).join('')}</tr>`)
    .join('');
  const highest = Math.max(...histograms.flatMap((h) => h.counts.concat(h.wrong).map((c) => c / samples(h))), 0.1);
  const bars = runs.map((r, i) => histogram(r, histograms[i]!, highest)).join('');
  return `<div class="pair"><table class="view" aria-label="top view">${view}</table>${bars}</div>`;
}

const samples = (h: OutcomeHistogram): number => h.counts.reduce((a, b) => a + b, 0) + h.wrong;

function histogram(run: ReportRun, h: OutcomeHistogram, highest: number): string {
  const [width, height, left] = [360, 96, 34];
  const total = samples(h);
  const step = (width - left) / (h.counts.length + 2);
  const y = (share: number): number => 6 + (height - 12) * (1 - share / highest);
  const bar = (share: number, i: number, fill: string): string =>
    `<rect x="${(left + i * step).toFixed(1)}" y="${y(share).toFixed(1)}" width="${(step * 0.8).toFixed(1)}" height="${(y(0) - y(share)).toFixed(1)}" fill="${fill}"/>`;
  const bars = h.counts.map((c, i) => bar(c / total, i, run.color)).join('');
  const target = y(1 / h.counts.length).toFixed(1);
  const found = h.counts.filter((c) => c > 0).length;
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(run.label)}: ${found} of ${h.counts.length} right answers found">
<text x="${left - 5}" y="12" class="tick end">${Math.round(highest * 100)} %</text><text x="${left - 5}" y="${y(0)}" class="tick end">0</text>
<line x1="${left}" x2="${width}" y1="${y(0)}" y2="${y(0)}" class="rule"/>${bars}${bar(h.wrong / total, h.counts.length + 1, '#9aa0a6')}
<line x1="${left}" x2="${left + h.counts.length * step}" y1="${target}" y2="${target}" class="target"/>
<text x="${width - 2}" y="14" class="tick end strong">${escapeHtml(run.label)}: ${found} of ${h.counts.length} found</text></svg>`;
}

function escapeHtml(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #5d6673; --rule: #dfe3e8; --paper: #ffffff; --card: #f6f8fa; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --soft: #9aa4b0; --rule: #333a42; --paper: #14171b; --card: #1c2127; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 960px; margin: 0 auto; padding: 40px 24px 64px; }
h1 { font-size: 30px; line-height: 1.2; margin: 0 0 12px; } h2 { font-size: 20px; margin: 40px 0 8px; }
.lead { font-size: 17px; color: var(--soft); max-width: 46em; }
table { border-collapse: collapse; } main > table { width: 100%; margin-top: 20px; }
main > table th, main > table td { padding: 9px 12px; border-bottom: 1px solid var(--rule); text-align: right; font-variant-numeric: tabular-nums; }
main > table th:first-child { text-align: left; font-weight: 600; } th small, figcaption small { display: block; font-weight: 400; color: var(--soft); font-size: 13px; }
.ideal { color: var(--soft); }
.legend span { margin-right: 18px; } .legend i { display: inline-block; width: 14px; height: 14px; border-radius: 3px; vertical-align: -2px; margin-right: 6px; }
.grid { display: grid; grid-template-columns: repeat(auto-fit, minmax(340px, 1fr)); gap: 18px; }
figure { margin: 0; background: var(--card); border-radius: 8px; padding: 14px; } svg { width: 100%; height: auto; display: block; }
.rule { stroke: var(--rule); } .tick { fill: var(--soft); font-size: 11px; } .end { text-anchor: end; } .mid { text-anchor: middle; } .strong { font-weight: 600; font-size: 12px; }
.raw { fill: none; stroke-width: 1; opacity: .25; } .mean { fill: none; stroke-width: 2.2; } .target { stroke: var(--ink); stroke-dasharray: 4 3; opacity: .7; }
.pair { display: grid; grid-template-columns: 76px 1fr 1fr; gap: 18px; align-items: center; background: var(--card); border-radius: 8px; padding: 12px 16px; margin-bottom: 12px; }
.view td { width: 20px; height: 20px; border: 1px solid var(--rule); padding: 0; } .view .on { background: var(--ink); }
@media (max-width: 640px) { .pair { grid-template-columns: 1fr; } }
.files { list-style: none; padding: 0; } .files li { margin-bottom: 10px; overflow-wrap: anywhere; } small { color: var(--soft); } code { font-size: 13px; }
footer { margin-top: 40px; color: var(--soft); font-size: 13px; }
`;
