// How surfaces look. The renderer asks for a class map of every part; ours are empty, and what there is to say is said
// in styles that follow the system's light and dark.
import type { Types } from '@a2ui/lit/0.8';

const parts = () => ({ container: {}, element: {}, label: {} });
const field = { font: 'inherit', padding: '8px 10px', 'border-radius': '8px', border: '1px solid #8886' };

export const theme: Types.Theme = {
  components: {
    AudioPlayer: {},
    Button: {},
    Card: {},
    Column: {},
    CheckBox: parts(),
    DateTimeInput: parts(),
    Divider: {},
    Image: { all: {}, icon: {}, avatar: {}, smallFeature: {}, mediumFeature: {}, largeFeature: {}, header: {} },
    Icon: {},
    List: {},
    Modal: { backdrop: {}, element: {} },
    MultipleChoice: parts(),
    Row: {},
    Slider: parts(),
    Tabs: { container: {}, element: {}, controls: { all: {}, selected: {} } },
    Text: { all: {}, h1: {}, h2: {}, h3: {}, h4: {}, h5: {}, caption: {}, body: {} },
    TextField: parts(),
    Video: {},
  },
  elements: {
    a: {},
    audio: {},
    body: {},
    button: {},
    h1: {},
    h2: {},
    h3: {},
    h4: {},
    h5: {},
    iframe: {},
    input: {},
    p: {},
    pre: {},
    textarea: {},
    video: {},
  },
  markdown: { p: [], h1: [], h2: [], h3: [], h4: [], h5: [], ul: [], ol: [], li: [], a: [], strong: [], em: [] },
  additionalStyles: {
    Button: {
      font: 'inherit',
      padding: '10px 18px',
      border: '0',
      'border-radius': '10px',
      background: 'var(--p-40, #2d5bd7)',
      color: '#fff',
      cursor: 'pointer',
    },
    Card: { padding: '16px', 'border-radius': '14px', border: '1px solid #8884', background: '#8881' },
    Column: { gap: '12px' },
    Row: { gap: '12px' },
    TextField: field,
    DateTimeInput: field,
    MultipleChoice: field,
  },
};
