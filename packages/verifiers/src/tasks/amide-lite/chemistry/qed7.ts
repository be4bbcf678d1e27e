/** Seven properties of a molecule, as RDKit counts them. */
export interface Properties {
  /** molecular weight, Da */
  readonly mw: number;
  /** Crippen's estimate of log P */
  readonly logp: number;
  /** hydrogen bond acceptors */
  readonly hba: number;
  /** hydrogen bond donors */
  readonly hbd: number;
  /** topological polar surface area, Å² */
  readonly psa: number;
  /** rotatable bonds */
  readonly rotb: number;
  /** aromatic rings */
  readonly arom: number;
}

/** Weight and the parameters a, b, c, d, e, f and d_max of a property's desirability. */
type Desirability = readonly [
  w: number,
  a: number,
  b: number,
  c: number,
  d: number,
  e: number,
  f: number,
  dmax: number,
];

/** Source: Bickerton et al., Nature Chemistry 4 (2012) 90; weights of QED's mean form. */
const DESIRABILITIES: Readonly<Record<keyof Properties, Desirability>> = {
  mw: [0.66, 2.817065973, 392.5754953, 290.7489764, 2.419764353, 49.22325677, 65.37051707, 104.9805561],
  logp: [0.46, 3.172690585, 137.8624751, 2.534937431, 4.581497897, 0.822739154, 0.576295591, 131.3186604],
  hba: [0.05, 2.948620388, 160.4605972, 3.615294657, 4.435986202, 0.290141953, 1.300669958, 148.7763046],
  hbd: [0.61, 1.618662227, 1010.051101, 0.985094388, 1e-9, 0.713820843, 0.920922555, 258.1632616],
  psa: [0.06, 1.876861559, 125.2232657, 62.90773554, 87.83366614, 12.01999824, 28.51324732, 104.5686167],
  rotb: [0.65, 0.01, 272.4121427, 2.55837997, 1.565547684, 1.271567166, 2.758063707, 105.4420403],
  arom: [0.48, 3.21778897, 957.7374108, 2.274627939, 1e-9, 1.317690384, 0.375760881, 312.337261],
};

/**
 * How alike to oral drugs a molecule is, 0..1: QED without its alerts, weights over the seven properties that are left.
 *
 *     qed7 = exp( Σ w ln d(x) / Σ w )
 *     d(x) = (a + b / (1 + exp(−(x − c + d/2) / e)) · (1 − 1 / (1 + exp(−(x − c − d/2) / f)))) / d_max
 */
export function qed7(properties: Properties): number {
  let sum = 0;
  let weights = 0;
  for (const [name, [w, a, b, c, d, e, f, dmax]] of Object.entries(DESIRABILITIES)) {
    const x = properties[name as keyof Properties];
    const rise = 1 / (1 + Math.exp(-(x - c + d / 2) / e));
    const fall = 1 - 1 / (1 + Math.exp(-(x - c - d / 2) / f));
    sum += w * Math.log((a + b * rise * fall) / dmax);
    weights += w;
  }
  return Math.exp(sum / weights);
}
